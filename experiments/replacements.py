"""What the command line puts in the place of a grid's inputs: it then runs on other backbones and other data."""

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfew_pl.registry import registered_classifiers
from tfew_pl.resolve import PRETRAINABLE
from tfew_pl.spec import RunSpec


@dataclass(frozen=True)
class Replaced:
    """What takes the place of a grid's own."""

    backbone: str | None = None
    """Of the default backbone, in the variants that use it; the grid's `partners` say what becomes of others."""
    data: str | None = None
    """Of the default data source, likewise."""
    precision: str | None = None
    """Of the default precision, likewise, but in text classifiers."""
    initial: Path | None = None
    """Of the pre-trained vectors known for the default backbone, in the variants that start from them."""

    @property
    def flags(self) -> str:
        """As commands take it."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in values.items() if value is not None)

    @property
    def name(self) -> str:
        """For a folder of what is made of its runs; empty where nothing is replaced. Vectors are not in it."""
        values = (self.backbone, self.data, self.precision)
        return "-".join(value.strip("./").replace("/", "-") for value in values if value is not None)


NOTHING = Replaced()


class Replacements:
    """Replacing in a grid's variants.

    Args:
        defaults: of the grid.
        partners: by a backbone that takes the default's place, what takes the place of other backbones.
        replaced: what takes the place of the defaults.
    """

    def __init__(
        self, defaults: Mapping[str, Any], partners: Mapping[str, Mapping[str, str]], replaced: Replaced
    ) -> None:
        plain = RunSpec(task="")
        self._of: dict[str, dict[str, str]] = {"backbone": dict(partners.get(replaced.backbone or "", {}))}
        self._default: dict[str, Any] = {}
        self._idle: dict[str, str] = {}
        self._initial = replaced.initial
        for key in ("backbone", "data", "precision"):
            default, replacement = defaults.get(key, getattr(plain, key)), getattr(replaced, key)
            self._default[key] = default
            if replacement is not None and isinstance(default, str):  # else the specs name the problem
                self._of.setdefault(key, {})[default] = replacement
                self._idle[key] = replacement

    def apply(self, values: dict[str, Any]) -> None:
        """Replaces in the fields of a run."""
        for key, replacement in self._of.items():
            value = values.get(key, self._default[key])
            if key == "precision" and values.get("method") in registered_classifiers():
                continue
            if isinstance(value, str) and value in replacement:
                values[key] = replacement[value]
                if self._idle.get(key) == values[key]:
                    del self._idle[key]

    def start(self, spec: RunSpec) -> RunSpec:
        """The run, from other vectors if it starts from those known for the backbone in the default's place."""
        default = self._default["backbone"]
        of_default = spec.backbone == self._of["backbone"].get(default, default)
        pretrained = spec.trains and spec.recipe.pretrained and spec.method in PRETRAINABLE
        if self._initial is None or spec.initial is not None or not (of_default and pretrained):
            return spec
        return dataclasses.replace(spec, initial=str(self._initial))

    def without_effect(self) -> Iterator[str]:
        """A remark on each that took the place of nothing; not on vectors, for which not every grid has a use."""
        for key, replacement in self._idle.items():
            yield f"--{key} {replacement} replaces nothing: no variant uses the default {key} {self._default[key]}"
