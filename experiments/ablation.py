"""The grid of one-at-a-time removals around a recipe."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from experiments.specs import build_spec
from tfew_pl.errors import UserError
from tfew_pl.recipe import INGREDIENTS, without
from tfew_pl.resolve import PRETRAINABLE
from tfew_pl.spec import RunSpec

FULL = "Full recipe"
"""Name of the variant from which nothing is taken."""


def removable(spec: RunSpec) -> list[str]:
    """The ingredients that a run has: taking another away would change nothing."""
    idle = set() if spec.method in PRETRAINABLE else {"pretraining"}
    if not spec.recipe.unlikelihood_weight:
        idle.add("unlikelihood-eos")
    return [name for name in INGREDIENTS if name not in idle and without(spec.recipe, name) != spec.recipe]


def ablation_grid(fields: Mapping[str, Any], tasks: Sequence[str] | str, seeds: Sequence[int] | str) -> dict[str, Any]:
    """A grid as its file holds it: the full recipe, and a variant without each of its ingredients.

    Args:
        fields: of a RunSpec, as grid files give them; `without` takes ingredients out of all variants.
        tasks: names, or `all`.
        seeds: of the few-shot splits, or `official`.

    Raises:
        UserError: a field is wrong; the message lists every problem.
    """
    spec, problems = build_spec({**fields, "task": "rte"})
    if spec is None:
        raise UserError("; ".join(problems))
    if not spec.trains:
        raise UserError(f"method {spec.method} trains nothing: there is no recipe to take an ingredient from")
    base = list(fields.get("without", []))
    sweep = {"task": tasks, "seed": seeds}
    variants: list[dict[str, Any]] = [{"name": FULL, "sweep": sweep}]
    variants += [
        {"name": f"Without {name}", "without": [*base, name], "sweep": dict(sweep)} for name in removable(spec)
    ]
    return {
        "name": f"ablation-{spec.method}",
        "description": f"What each ingredient of the recipe contributes: {spec.method} on {spec.backbone}",
        "defaults": dict(fields),
        "variants": variants,
    }


def grid_text(grid: Mapping[str, Any], command: str) -> str:
    """The grid's file, which opens with the command that runs it."""

    class _Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return f"# {command}\n" + yaml.dump(dict(grid), Dumper=_Plain, sort_keys=False, default_flow_style=None, width=110)
