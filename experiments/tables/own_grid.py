"""The table of a grid of one's own: accuracies by variant, and by what a variant sweeps beside tasks and seeds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.specs import method_recipe
from experiments.tables.accuracy import AccuracyTable, Layout, accuracy_table
from experiments.tables.variants import Variant
from tfew_pl.errors import UserError
from tfew_pl.recipe import Recipe
from tfew_pl.tasks import task_of

if TYPE_CHECKING:
    from tfew_pl.spec import RunSpec

_POOLED = ("task", "seed", "revisions")
"""Fields in which the runs of a row may differ."""


def own_table(name: str, variants: Sequence[Variant]) -> AccuracyTable:
    """The table; the first row is the one that the others are compared with.

    Raises:
        UserError: the runs of a row do not belong together.
    """
    rows = [row for variant in variants for row in split(variant)]
    layout = Layout(None, f"Accuracy of the grid {name}", "", reference=rows[0].name, parameter_counts=True)
    try:
        return accuracy_table(layout, rows)
    except ValueError as error:
        raise UserError(f"no table can be made of the grid {name}: {error}") from error


def split(variant: Variant) -> Iterator[Variant]:
    """A variant whose runs differ in more than task and seed as several, named by what they differ in."""
    groups: dict[tuple[tuple[str, Any], ...], list[RunSpec]] = {}
    for spec in variant.specs:
        groups.setdefault(tuple(sorted(_setting(spec).items())), []).append(spec)
    settings = [dict(setting) for setting in groups]
    differing = [key for key in settings[0] if any(s.get(key) != settings[0][key] for s in settings)]
    differing += sorted({key for setting in settings for key in setting} - set(settings[0]))
    for setting, specs in zip(settings, groups.values(), strict=True):
        digests = {spec.digest for spec in specs}
        name = ", ".join((variant.name, *(f"{key}={setting.get(key, 'default')}" for key in differing)))
        yield Variant(name, tuple(specs), tuple(r for r in variant.records if r.spec.digest in digests))


def _setting(spec: "RunSpec") -> dict[str, Any]:
    """All that a run depends on and that makes a row of its own: not what its task itself sets in the recipe."""
    setting, default = dict(_leaves(spec.identity())), Recipe(**method_recipe(spec.method))
    for name, value in task_of(spec).recipe.items():
        if setting.get(key := f"recipe.{name}") == value:
            setting[key] = getattr(default, name)
    return setting


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if path or key not in _POOLED:
            if isinstance(value, Mapping):
                yield from _leaves(value, f"{path}{key}.")
            else:
                yield f"{path}{key}", value
