"""Whether one method is better than another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.bootstrap import (
    LEVEL,
    RESAMPLES,
    Answers,
    Estimate,
    Floats,
    mean_difference,
    median_accuracy,
    paired_answers,
)

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord


@dataclass(frozen=True)
class Comparison:
    """A method against another on the same few-shot splits and examples of the same tasks."""

    difference: Estimate
    """In points of the mean over tasks."""
    better: int
    """Tasks on which its median is the higher."""
    worse: int
    tasks: int
    p_value: float
    """Of the Wilcoxon signed-rank test over the tasks' medians, two-sided (Demšar 2006)."""
    improvement: Estimate | None
    """Probability that a run of it beats a run of the other (Agarwal et al. 2021); None where a task has one run, and
    of macro F1."""


def without_noise(points: Floats) -> Floats:
    """Differences without what rounding adds, so that those of equal accuracies are 0, and equal ones tie.

    Accuracies are fractions of the number of examples, millionths of a point apart at the least.
    """
    rounded: Floats = np.round(points, 9)
    return rounded


def run_accuracies(task: Answers) -> Floats:
    """(runs,), medians over templates, in percent."""
    medians: Floats = 100 * np.median(task.mean(axis=2), axis=1)
    return medians


def probability_of_improvement(
    pairs: Sequence[Sequence[Answers]],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """How likely a run of one method beats a run of another: the mean over tasks (Agarwal et al. 2021, Sec. 4.3).

    A tie counts as half. The interval resamples both methods' runs within every task.

    Args:
        pairs: a task each, the one method's answers and the other's.
        generator: draws.
        resamples: how many.
        level: share of the resamples within the interval.

    Raises:
        ValueError: there is no task.
    """
    if not pairs:
        raise ValueError("a probability over no tasks")
    value, drawn = 0.0, np.zeros(resamples)
    for one, other in pairs:
        ours, theirs = run_accuracies(one), run_accuracies(other)
        differences = without_noise(ours[:, None] - theirs[None, :])  # (runs, runs)
        wins = (np.sign(differences) + 1) / 2  # 1, or 1/2 for a tie, or 0
        value += float(wins.mean())
        rows = generator.integers(len(ours), size=(resamples, len(ours), 1))
        columns = generator.integers(len(theirs), size=(resamples, 1, len(theirs)))
        drawn += wins[rows, columns].mean(axis=(1, 2))
    low, high = np.quantile(drawn / len(pairs), ((1 - level) / 2, (1 + level) / 2))
    return Estimate(value / len(pairs), float(low), float(high))


def signed_rank(differences: Floats) -> float:
    """The p-value of the Wilcoxon signed-rank test; 1 for one difference, and where nothing differs.

    It is that of SciPy's `wilcoxon(zero_method="zsplit")`, which loops over all signs where differences tie. Exact up
    to 13 differences.
    """
    from scipy import stats

    def positive_ranks(signed: Floats, axis: int) -> Floats:
        """Differences of 0 are split evenly between the signs (Demšar 2006, Sec. 3.1.3)."""
        sums: Floats = (stats.rankdata(np.abs(signed), axis=axis) * (1 + np.sign(signed)) / 2).sum(axis)
        return sums

    if len(differences) < 2 or not differences.any():
        return 1.0
    found = stats.permutation_test(
        (differences,), positive_ranks, permutation_type="samples", vectorized=True, rng=np.random.default_rng(0)
    )
    return float(found.pvalue)


def compare(
    ours: Sequence["RunRecord"],
    reference: Sequence["RunRecord"],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Comparison | None:
    """Two methods on the tasks that both have runs of.

    Returns:
        None where they share no seed, template and example of some task, or no task.
    """
    names = [{record.spec.task for record in records} for records in (ours, reference)]
    pairs = []
    for task in sorted(set.intersection(*names)):
        pair = paired_answers(*([r for r in records if r.spec.task == task] for records in (ours, reference)))
        if pair is None:
            return None
        pairs.append(pair)
    if not pairs:
        return None
    several = all(len(answers) > 1 for pair in pairs for answers in pair)
    differences = without_noise(np.array([median_accuracy(one) - median_accuracy(other) for one, other in pairs]))
    return Comparison(
        difference=mean_difference(pairs, generator, resamples),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
        tasks=len(pairs),
        p_value=signed_rank(differences),
        improvement=probability_of_improvement(pairs, generator, resamples) if several else None,
    )
