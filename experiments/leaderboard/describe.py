"""A run's variant: what a row of the leaderboard has in common, and how it differs from its method's default."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.specs import method_recipe
from tfew_pl.recipe import INGREDIENTS, Recipe
from tfew_pl.spec import RunSpec

WITHOUT = "without "
"""How the change of an ablation starts."""


def variant(spec: RunSpec) -> str:
    """Digest of all that determines a run but its task, its data's revision and its seed: runs that share it are one
    row.
    """
    values = spec.identity()
    for key in ("task", "seed"):
        values.pop(key, None)
    values["revisions"] = {**values["revisions"], "data": ""}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def data_of(spec: RunSpec) -> str:
    """`pocket` or `hub`; a folder of one's own holds the hub's files."""
    data: str = spec.identity()["data"]
    return data


def changes(spec: RunSpec) -> tuple[str, ...]:
    """What differs from the method's default, as the command line would say it: `without unlikelihood`,
    `recipe.steps=300`.
    """
    default = dataclasses.replace(
        RunSpec(task=spec.task, method=spec.method, backbone=spec.backbone, seed=spec.seed, data=spec.data),
        recipe=Recipe(**method_recipe(spec.method)),
        revisions=spec.revisions,
    )
    ours, theirs = dict(_leaves(spec.identity())), dict(_leaves(default.identity()))
    different = {key: value for key, value in ours.items() if key not in theirs or theirs[key] != value}
    found = []
    for ingredient, fields in INGREDIENTS.items():
        taken = {f"recipe.{name}": value for name, value in fields.items()}
        if taken.items() <= different.items():
            found.append(f"{WITHOUT}{ingredient}")
            different = {key: value for key, value in different.items() if key not in taken}
    return (*found, *(f"{key}={_shown(value)}" for key, value in different.items()))


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
