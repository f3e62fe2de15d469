"""The variants of a grid compared with one of them, and ranked."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bootstrap import RESAMPLES, answers, mean_accuracy, median_accuracy, paired_answers
from experiments.comparison import compare
from experiments.ranks import Ranking, ranking
from experiments.statistics import unlabeled_tasks

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

SEED = 0
"""Of the resamples."""


@dataclass(frozen=True)
class Contrasts:
    """What a comparison of variants shows."""

    reference: str
    rows: tuple[Mapping[str, Any], ...]
    """A dictionary a variant; accuracies in percent, differences in points."""
    ranking: Ranking | None
    """Over the reference's tasks, on the splits, templates and examples of all variants; None for a single variant, and
    where they have none in common."""
    unlabeled: tuple[str, ...] = ()
    """Tasks that are left out, as their evaluation examples have no labels."""
    incomplete: tuple[str, ...] = ()
    """Variants that are left out, as they have no run of some of the reference's tasks."""

    def values(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "reference": self.reference,
            "rows": list(self.rows),
            "ranking": None if self.ranking is None else dataclasses.asdict(self.ranking),
            "unlabeled": list(self.unlabeled),
            "incomplete": list(self.incomplete),
        }


def contrasts(variants: Mapping[str, Sequence["RunRecord"]], reference: str, resamples: int = RESAMPLES) -> Contrasts:
    """Compares variants with the reference, on the tasks that it has runs of.

    Tasks whose evaluation examples have no labels are left out, and variants without a run of some of the others.

    Args:
        variants: the records of each, one or more.
        reference: one of their names.
        resamples: of every bootstrap interval.
    """
    unlabeled = unlabeled_tasks(record for records in variants.values() for record in records)
    tasks = sorted({r.spec.task for r in variants[reference]} - {*unlabeled})
    variants = {name: [r for r in records if r.spec.task in tasks] for name, records in variants.items()}
    incomplete = [name for name, records in variants.items() if len({r.spec.task for r in records}) < len(tasks)]
    variants = {name: records for name, records in variants.items() if name not in incomplete}
    right = {
        name: [answers([r for r in records if r.spec.task == task]) for task in tasks]
        for name, records in variants.items()
    }
    ranks = _ranking(variants, tasks)
    rows = []
    for name, records in variants.items():
        accuracy = mean_accuracy(right[name], np.random.default_rng(SEED), resamples) if tasks else None
        found = None
        if name != reference:
            found = compare(records, variants[reference], np.random.default_rng(SEED), resamples)
        rows.append(
            {
                "method": name,
                "runs": len(records),
                "tasks": len(tasks),
                **_interval("accuracy", accuracy),
                **_interval("difference", found and found.difference),
                "better": found and found.better,
                "worse": found and found.worse,
                "p_value": found and found.p_value,
                **_interval("improvement", found and found.improvement),
                "rank": ranks and ranks.ranks[name],
            }
        )
    return Contrasts(reference, tuple(rows), ranks, unlabeled, tuple(incomplete))


def _ranking(variants: Mapping[str, Sequence["RunRecord"]], tasks: Sequence[str]) -> Ranking | None:
    if not tasks or len(variants) < 2:
        return None
    shared = [
        paired_answers(*([r for r in records if r.spec.task == task] for records in variants.values()))
        for task in tasks
    ]
    accuracies = [list(map(median_accuracy, task)) for task in shared if task is not None]
    if len(accuracies) < len(tasks):
        return None
    return ranking(dict(zip(variants, zip(*accuracies, strict=True), strict=True)))


def _interval(name: str, estimate: Any) -> dict[str, float | None]:
    return {
        name: estimate and estimate.value,
        f"{name}_low": estimate and estimate.low,
        f"{name}_high": estimate and estimate.high,
    }
