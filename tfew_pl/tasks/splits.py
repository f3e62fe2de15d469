"""The official few-shot split."""

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
