"""Average ranks of methods over tasks, and which of them differ (Demšar 2006, Sec. 3.2)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05


@dataclass(frozen=True)
class Ranking:
    """Methods by their average rank, the best first."""

    ranks: Mapping[str, float]
    """1 is the best; ties share the mean of their ranks."""
    tasks: int
    p_value: float | None
    """Of the Friedman test, that all methods are alike; None with fewer than three methods or two tasks."""
    critical_difference: float
    """Average ranks that differ by less may do so by chance (Nemenyi test)."""
    groups: tuple[tuple[str, ...], ...]
    """Methods, neighbors in rank, that ranks alone cannot tell apart: the largest such groups of two or more."""


def critical_difference(methods: int, tasks: int, alpha: float = ALPHA) -> float:
    """The Nemenyi test's: q sqrt(k (k + 1) / 6N), with q the studentized range over sqrt 2.

    Args:
        methods: how many are compared, k.
        tasks: on how many, N.
        alpha: how often alike methods may be told apart.
    """
    from scipy import stats

    q = stats.studentized_range.ppf(1 - alpha, methods, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(methods * (methods + 1) / (6 * tasks)))


def ranking(accuracies: Mapping[str, Sequence[float]], alpha: float = ALPHA) -> Ranking:
    """Ranks methods on every task and averages.

    Args:
        accuracies: by method, its accuracy on each task, in one order of the tasks.
        alpha: of the critical difference.

    Raises:
        ValueError: there are fewer than two methods, no task, or not as many accuracies of each.
    """
    from scipy import stats

    table = [list(values) for values in accuracies.values()]
    if len(table) < 2 or not table[0] or len({len(row) for row in table}) != 1:
        raise ValueError("two methods with an accuracy on every task are needed")
    matrix = np.round(table, 9)  # (methods, tasks); equal accuracies may differ in rounding
    average = stats.rankdata(-matrix, axis=0).mean(axis=1)
    order = sorted(zip(accuracies, average.tolist(), strict=True), key=lambda pair: pair[1])
    methods, tasks = matrix.shape
    p_value = None
    if methods > 2 and tasks > 1:
        # Without any difference the statistic is 0 / 0.
        p_value = float(stats.friedmanchisquare(*matrix).pvalue) if (matrix != matrix[0]).any() else 1.0
    critical = critical_difference(methods, tasks, alpha)
    return Ranking(dict(order), tasks, p_value, critical, _groups(order, critical))


def _groups(order: Sequence[tuple[str, float]], critical: float) -> tuple[tuple[str, ...], ...]:
    """The longest runs of neighbors whose ends differ by less than the critical difference."""
    found: list[tuple[str, ...]] = []
    reached = 0
    for first, (_, rank) in enumerate(order):
        end = first
        while end < len(order) and order[end][1] - rank < critical:
            end += 1
        if end > reached and end - first > 1:
            found.append(tuple(name for name, _ in order[first:end]))
        reached = max(reached, end)
    return tuple(found)
