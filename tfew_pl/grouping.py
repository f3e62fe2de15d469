"""Which runs can be trained as slots of one model."""

import dataclasses

from tfew_pl.registry import method_class, registered_classifiers
from tfew_pl.spec import RunSpec


def group_key(spec: RunSpec) -> str | None:
    """What runs have in common that `run_group` may train together: they differ in the seed alone.

    Runs of several tasks could share a model too, but their lengths differ, and padding costs more than it saves.

    Args:
        spec: a resolved spec.

    Returns:
        None for a run that has to be done alone: it trains nothing, or its method has no slots or a model of its own,
        or its result depends on what else is in a batch (dropout's draws, the padding that the release's unlikelihood
        counts).
    """
    if spec.method in registered_classifiers():
        return None
    recipe = spec.recipe
    padding_counts = recipe.unlikelihood_form == "release" and recipe.unlikelihood_weight > 0
    if not spec.trains or recipe.dropout != "off" or padding_counts or not method_class(spec.method).slotted:
        return None
    return dataclasses.replace(spec, seed=0).digest
