"""Accuracy on rows that a training did not see: folds that are left out in turn, or a test table."""

import math
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

_Z = 1.959964
"""The normal quantile of a two-sided interval of 95 %."""


@dataclass(frozen=True)
class HeldOut:
    """How many rows were predicted right by a training that had not seen them."""

    right: int
    rows: int
    folds: int
    """Trainings that each left a part of the rows out; 0 where the rows are a test table of their own."""
    most_frequent: float
    """Share of the most frequent class among these rows: what always giving one answer would reach."""

    @property
    def accuracy(self) -> float:
        """The share of right predictions."""
        return self.right / self.rows

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of that share (1927), as if each row were drawn and predicted on its own.

        Folds share most of their training rows, so that it is a little too narrow for them.
        """
        n, p, z2 = self.rows, self.accuracy, _Z**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)


def most_frequent_share(classes: Sequence[int]) -> float:
    """Share of the most frequent class."""
    return Counter(classes).most_common(1)[0][1] / len(classes)


def stratified_folds(
    classes: Sequence[Hashable], folds: int, seed: int, questions: Sequence[Hashable] | None = None
) -> list[list[int]]:
    """Parts of the rows, of sizes and class shares that differ by one row at most where no question is asked twice.

    Args:
        classes: of the rows.
        folds: number of parts, no more than questions.
        seed: of who is put where.
        questions: of the rows; those of one question go to one part, so that none is seen in training that is left
            out. None where all differ.

    Returns:
        The rows' indices, sorted, by fold.
    """
    rows_of: dict[Hashable, list[int]] = {}
    for row, question in enumerate(range(len(classes)) if questions is None else questions):
        rows_of.setdefault(question, []).append(row)
    asked = list(rows_of.values())
    generator = random.Random(f"folds {seed}")
    order = list(range(len(asked)))
    generator.shuffle(order)
    of = [classes[rows[0]] for rows in asked]
    first = {label: place for place, label in reversed(list(enumerate(of[i] for i in order)))}
    order.sort(key=lambda i: first[of[i]])  # classes one after another, shuffled within
    return [sorted(row for i in order[fold::folds] for row in asked[i]) for fold in range(folds)]
