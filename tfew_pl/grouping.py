"""Which runs can be trained as slots of one model."""

import dataclasses

from tfew_pl.registry import method_class, registered_classifiers
from tfew_pl.spec import RunSpec


def group_key(spec: RunSpec) -> str | None:
    """What runs have in common that a grid's runner trains together: they differ in the seed alone.

    `run_group` trains runs of several tasks together too, but their lengths differ, and padding costs time.

    Args:
        spec: a resolved spec.

    Returns:
        None for a run that has to be done alone; see `model_key`.
    """
    return dataclasses.replace(spec, seed=0).digest if _shares_a_model(spec) else None


def model_key(spec: RunSpec) -> str | None:
    """What runs have in common that `run_group` can train as slots of one model: all but their data and their seed.

    Args:
        spec: a resolved spec.

    Returns:
        None for a run that has to be done alone: it trains nothing, or its method has no slots or a model of its own,
        or its result depends on what else is in a batch (dropout's draws, the padding that the release's unlikelihood
        counts).
    """
    if not _shares_a_model(spec):
        return None
    revisions = dataclasses.replace(spec.revisions, data="")
    plain = RunSpec("", revisions=revisions)
    names = ("backbone", "method", "recipe", "options", "precision")
    return dataclasses.replace(plain, **{name: getattr(spec, name) for name in names}).digest


def _shares_a_model(spec: RunSpec) -> bool:
    if spec.method in registered_classifiers():
        return False
    recipe = spec.recipe
    padding_counts = recipe.unlikelihood_form == "release" and recipe.unlikelihood_weight > 0
    return spec.trains and recipe.dropout == "off" and not padding_counts and method_class(spec.method).slotted
