"""The multitask mixture: compact questions, and prompted rows of T0's training datasets."""

import random
from collections.abc import Callable, Iterator, Mapping

from tfew_pl.pocket import skills, training_sets
from tfew_pl.prompts import Prompt

Example = tuple[str, str]
"""An input text and its target text."""
SHARES = {"skill": 4 / 9, "p3": 5 / 9}
"""Sort -> share, as the multitask stage sees them."""


def _texts(prompt: Prompt) -> Example:
    return prompt.input, prompt.target


SORTS: dict[str, Callable[[random.Random], Example]] = {
    "skill": lambda rng: skills.compact(skills.draw(rng), rng),
    "context": skills.in_context,
    "p3": lambda rng: _texts(training_sets.prompted(training_sets.draw(rng), rng)),
}
"""Sort -> draws an example: compact ("skill", "context") or through a P3 template."""


def examples(seed: int, shares: Mapping[str, float] = SHARES) -> Iterator[Example]:
    """Examples without end.

    Args:
        seed: decides the whole sequence.
        shares: sort (a key of `SORTS`) -> share.
    """
    rng = random.Random(f"mixture {seed}")
    sorts, weights = list(shares), list(shares.values())
    while True:
        yield SORTS[rng.choices(sorts, weights)[0]](rng)
