"""The endless multitask prompted training mixture."""

import random
from collections.abc import Iterator

from tfew_pl.pocket import skills, training_sets


def examples(seed: int, *, compact: float = 4 / 9) -> Iterator[tuple[str, str]]:
    """Prompted training examples without end.

    Args:
        seed: decides the whole sequence.
        compact: share of compact, template-free skill formats; the rest are P3 templates of T0's training datasets.

    Yields:
        An input text and its target text.
    """
    rng = random.Random(f"mixture {seed}")
    while True:
        if rng.random() < compact:
            yield skills.compact(skills.draw(rng), rng)
        else:
            prompt = training_sets.prompted(training_sets.draw(rng), rng)
            yield prompt.input, prompt.target
