"""Stratified bootstrap: how far an accuracy depends on the few-shot splits, templates and examples at hand.

Splits, templates and evaluation examples of every task are drawn with replacement, each by itself; a task is a stratum
and always takes part. Methods that are compared meet the same draws. Percentile intervals (Efron & Tibshirani 1993,
Ch. 13; Agarwal et al. 2021 for runs as strata).
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfew_pl.spec import ZERO_SHOT

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

Answers = NDArray[np.bool_]
"""(runs, templates, examples) of a task, True where the prediction is right."""
Floats = NDArray[np.float64]

RESAMPLES = 1000
"""Of every table, page and comparison; Tables 4 to 7 have a dozen intervals each."""
LEVEL = 0.95
_CHUNK = 250
"""Resamples that are drawn at a time, for memory."""


@dataclass(frozen=True)
class Estimate:
    """A number and its bootstrap interval."""

    value: float
    low: float
    high: float


def paired_answers(*methods: Sequence["RunRecord"]) -> list[Answers] | None:
    """What methods have right on a task, where all have predictions: the same seeds, templates and examples.

    A zero-shot run, which has no seed, stands beside every seed of the others.

    Args:
        methods: the records of each.

    Returns:
        An array a method, all of one shape, runs in the order of their seeds; None where they have nothing in common.

    Raises:
        ValueError: a method has several runs of a seed.
    """
    if not all(methods):
        return None
    seeds = [{record.spec.seed for record in records} for records in methods if not _seedless(records)]
    common_seeds = sorted(set.intersection(*seeds)) if seeds else [0]
    sides = [[_at(records, seed) for seed in common_seeds] for records in methods]
    if not common_seeds:
        return None
    first, *others = [_keys(record) for side in sides for record in side]
    common = functools.reduce(_shared, others, np.unique(first))
    templates = np.unique(common >> 32)
    examples = np.unique(common & 0xFFFFFFFF)
    if not common.size or common.size != templates.size * examples.size:
        return None
    return [
        np.stack([_correct(record, common).reshape(templates.size, examples.size) for record in side]) for side in sides
    ]


def answers(records: Sequence["RunRecord"]) -> Answers:
    """What a method has right on a task.

    Raises:
        ValueError: its runs have no template and example in common.
    """
    found = paired_answers(records)
    if found is None:
        raise ValueError("runs of a task with the same templates and examples are needed")
    return found[0]


def _seedless(records: Sequence["RunRecord"]) -> bool:
    return all(record.spec.method == ZERO_SHOT for record in records)


def _at(records: Sequence["RunRecord"], seed: int) -> "RunRecord":
    if _seedless(records):
        return records[0]
    found = [record for record in records if record.spec.seed == seed]
    if len(found) != 1:
        raise ValueError(f"{len(found)} runs of {found[0].spec.label()} stand for one")
    return found[0]


def _keys(record: "RunRecord") -> NDArray[np.int64]:
    """A number a prediction, ordered by template, then example."""
    table = record.predictions
    return table["template"].to_numpy(np.int64) << 32 | table["example"].to_numpy(np.int64)


def _shared(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """The keys that are in both, sorted if the one's are; most often both are the same."""
    return one if np.array_equal(one, other) else np.intersect1d(one, other)


def _correct(record: "RunRecord", common: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(common,), whether the predictions of these keys are right."""
    keys = _keys(record)
    right: NDArray[np.bool_] = (record.predictions["gold"] == record.predictions["predicted"]).to_numpy()
    if np.array_equal(keys, common):
        return right
    order = np.argsort(keys)
    return right[order[np.searchsorted(keys, common, sorter=order)]]


def median_accuracy(task: Answers) -> float:
    """The median over runs and templates, in percent."""
    return float(100 * np.median(task.mean(axis=2)))


def resampled_medians(methods: Sequence[Answers], generator: np.random.Generator, resamples: int) -> Floats:
    """Medians of resampled runs, templates and examples of a task: (methods, resamples), in percent.

    Args:
        methods: arrays of one shape; all meet the same draws.
        generator: draws.
        resamples: how many.
    """
    chunks = [_resampled(methods, generator, min(_CHUNK, resamples - start)) for start in range(0, resamples, _CHUNK)]
    return np.concatenate(chunks, axis=1)


def _resampled(methods: Sequence[Answers], generator: np.random.Generator, resamples: int) -> Floats:
    runs, templates, examples = methods[0].shape
    drawn = generator.integers(examples, size=(resamples, examples))
    flat = (drawn + examples * np.arange(resamples)[:, None]).ravel()
    # How often each was drawn. Sums of so few are exact in single precision, which is twice as fast. A product of BLAS
    # would wake its threads for each, which takes 90 times as long as the product where other work has the cores.
    counts = np.bincount(flat, minlength=drawn.size).reshape(drawn.shape).astype(np.float32)
    row = generator.integers(runs, size=(resamples, runs))
    column = generator.integers(templates, size=(resamples, templates))
    which = np.arange(resamples)[:, None, None], row[:, :, None], column[:, None, :]
    medians = np.empty((len(methods), resamples))
    for number, right in enumerate(methods):
        drawn_right = np.einsum("re,ce->rc", counts, right.reshape(runs * templates, examples).astype(np.float32))
        medians[number] = np.median(drawn_right.reshape(resamples, runs, templates)[which], axis=(1, 2))
    return 100 * medians / examples


def _estimate(value: float, resampled: Floats, level: float) -> Estimate:
    low, high = np.quantile(resampled, ((1 - level) / 2, (1 + level) / 2))
    return Estimate(value, float(low), float(high))


def mean_accuracy(
    tasks: Sequence[Answers], generator: np.random.Generator, resamples: int = RESAMPLES, level: float = LEVEL
) -> Estimate:
    """The mean over tasks of the medians over runs and templates, in percent, with its interval.

    Raises:
        ValueError: there is no task.
    """
    return _over_tasks([[task] for task in tasks], lambda medians: medians[0], generator, resamples, level)


def mean_difference(
    pairs: Sequence[Sequence[Answers]],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """The difference between the mean accuracies of two methods over tasks, in points, with its interval.

    Args:
        pairs: a task each, the one method's answers and the other's.
        generator: draws.
        resamples: how many.
        level: share of the resamples within the interval.

    Raises:
        ValueError: there is no task.
    """
    return _over_tasks(pairs, lambda medians: medians[0] - medians[1], generator, resamples, level)


def _over_tasks(
    tasks: Sequence[Sequence[Answers]],
    statistic: Callable[[Floats], Floats],
    generator: np.random.Generator,
    resamples: int,
    level: float,
) -> Estimate:
    if not tasks:
        raise ValueError("a mean over no tasks")

    def values() -> Iterator[Floats]:
        for methods in tasks:
            medians = np.array([[median_accuracy(right)] for right in methods])
            yield statistic(np.concatenate([medians, resampled_medians(methods, generator, resamples)], axis=1))

    value, *resampled = np.mean(list(values()), axis=0)
    return _estimate(float(value), np.array(resampled), level)
