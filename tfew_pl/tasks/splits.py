"""The official few-shot split."""

from collections.abc import Sequence

import numpy as np

from tfew_pl.errors import UserError

OFFICIAL_SEEDS = (42, 1024, 0, 1, 32)
"""The release's five few-shot seeds."""


def few_shot_indices(size: int, shots: int, seed: int) -> list[int]:
    """Indices of the few-shot examples, as the release draws them.

    It seeds NumPy's legacy generator, shuffles the whole training list, and takes the first.

    Args:
        size: number of training examples.
        shots: number of examples to take.
        seed: of the split.

    Raises:
        UserError: there are fewer examples than shots.
    """
    if shots > size:
        raise UserError(f"{shots} few-shot examples were asked of a training set of {size}")
    indices = list(range(size))
    np.random.RandomState(seed).shuffle(indices)
    return indices[:shots]


def leave_out(indices: Sequence[int], part: int, parts: int) -> tuple[list[int], list[int]]:
    """Examples without one of several parts, and that part.

    Args:
        indices: the few-shot examples, each in one part; a part is a stretch of them in the dataset's order.
        part: which one is left out.
        parts: how many there are, of sizes that differ by one at most.

    Returns:
        What is kept, in the order given; and what is left out, in the dataset's order.

    Raises:
        UserError: there are fewer examples than parts.
    """
    if len(indices) < parts:
        raise UserError(f"{len(indices)} few-shot examples cannot be left out in {parts} parts")
    ordered, bounds = sorted(indices), [len(indices) * place // parts for place in (part, part + 1)]
    left_out = ordered[slice(*bounds)]
    return [index for index in indices if index not in set(left_out)], left_out
