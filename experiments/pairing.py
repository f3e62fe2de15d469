"""Comparing two methods on the same few-shot splits, templates and examples."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfew_pl.spec import ZERO_SHOT

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

Accuracies = NDArray[np.float64]
"""(runs, templates), in percent."""

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """How much better a method is than another, in points of accuracy."""

    value: float
    """Of the means over tasks of the medians over runs and templates."""
    low: float
    high: float
    """Ends of the bootstrap interval."""
    better: int
    """Tasks on which the method's median is the higher."""
    worse: int


def paired_accuracies(
    ours: Sequence["RunRecord"], reference: Sequence["RunRecord"]
) -> tuple[Accuracies, Accuracies] | None:
    """Accuracies of two methods on a task, where both have predictions: the same seeds, templates and examples.

    A zero-shot run, which has no seed, stands beside every seed of the other method.

    Returns:
        (runs, templates) twice; None where they have nothing in common.
    """
    seeds = [{record.spec.seed for record in side} for side in (ours, reference) if not _seedless(side)]
    common_seeds = sorted(set.intersection(*seeds)) if seeds else [0]
    sides = [[_at(side, seed) for seed in common_seeds] for side in (ours, reference)]
    keys = [_keys(record) for side in sides for record in side]
    common = functools.reduce(np.intersect1d, keys) if keys else np.empty(0, np.int64)
    if not common.size:
        return None
    one, other = (np.stack([_accuracies(record, common) for record in side]) for side in sides)
    return one, other


def _seedless(records: Sequence["RunRecord"]) -> bool:
    return all(record.spec.method == ZERO_SHOT for record in records)


def _at(records: Sequence["RunRecord"], seed: int) -> "RunRecord":
    return records[0] if _seedless(records) else next(record for record in records if record.spec.seed == seed)


def _keys(record: "RunRecord") -> NDArray[np.int64]:
    table = record.predictions
    return table["template"].to_numpy(np.int64) << 32 | table["example"].to_numpy(np.int64)


def _accuracies(record: "RunRecord", common: NDArray[np.int64]) -> Accuracies:
    """(templates,), in percent, over the common pairs of template and example."""
    keys = _keys(record)
    kept = np.isin(keys, common)
    correct = (record.predictions["gold"] == record.predictions["predicted"]).to_numpy()[kept]
    _, template, count = np.unique(keys[kept] >> 32, return_inverse=True, return_counts=True)
    return 100 * np.bincount(template, weights=correct) / count


def paired_difference(
    pairs: Sequence[tuple[Accuracies, Accuracies]],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Difference:
    """The difference between two methods' mean accuracies over tasks, with a percentile bootstrap interval.

    Runs and templates of each task are drawn with replacement, the same ones for both methods: the interval says
    how far the difference depends on the few-shot splits and templates at hand. Tasks are not drawn.

    Args:
        pairs: a task each, the method's accuracies and the other's, (runs, templates) both.
        generator: draws the resamples.
        resamples: how many.
        level: share of the resamples within the interval.

    Raises:
        ValueError: there is no task.
    """
    if not pairs:
        raise ValueError("a difference over no tasks")
    by_task = [float(np.median(one) - np.median(other)) for one, other in pairs]
    drawn = np.zeros(resamples)
    for one, other in pairs:
        runs = generator.integers(one.shape[0], size=(resamples, one.shape[0], 1))
        templates = generator.integers(one.shape[1], size=(resamples, 1, one.shape[1]))
        drawn += np.median(one[runs, templates], axis=(1, 2)) - np.median(other[runs, templates], axis=(1, 2))
    low, high = np.quantile(drawn / len(pairs), ((1 - level) / 2, (1 + level) / 2))
    return Difference(
        value=float(np.mean(by_task)),
        low=float(low),
        high=float(high),
        better=sum(value > 0 for value in by_task),
        worse=sum(value < 0 for value in by_task),
    )
