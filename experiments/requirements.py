"""Which runs need a package that is not installed here."""

from collections.abc import Iterable

from experiments.grid import GridRun
from tfew_pl.registry import registered_classifiers
from tfew_pl.text_classifier import missing_package


def lacking(runs: Iterable[GridRun]) -> dict[str, list[GridRun]]:
    """The runs that cannot be done here, by what has to be installed first."""
    found: dict[str, list[GridRun]] = {}
    for run in runs:
        reason = missing_package(run.spec) if run.spec.method in registered_classifiers() else None
        if reason is not None:
            found.setdefault(reason, []).append(run)
    return found
