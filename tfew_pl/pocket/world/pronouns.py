"""Pronoun sentences: whom "because he was X" means depends on the verb and the reason together.

Somebody able (strong, rich) helps and is asked; somebody needy (weak, poor) asks and is helped. No verb and no
reason decides alone: each occurs equally often with either answer.
"""

import random
from dataclasses import dataclass, replace

from tfew_pl.pocket.world.facts import FEMALE, MALE, he
from tfew_pl.pocket.world.parts import Pool, World

GIVING: Pool[str] = Pool.cut("helped paid fed taught carried saved guided protected cured hosted".split(), 1, 2)
ASKING: Pool[str] = Pool.cut("asked begged called hired copied trusted joined followed envied visited".split(), 1, 2)
ABLE: Pool[str] = Pool.cut(
    "strong rich skilled wise famous powerful fit expert generous clever wealthy capable".split(), 2, 3
)
NEEDY: Pool[str] = Pool.cut("weak poor lost sick hungry lonely hurt blind desperate broke ill cold".split(), 2, 3)
UNFAMILIAR = 0.15
"""Share of verbs, and of reasons, that a world with a withheld part draws from it.

Small, because nothing but running text shows what a withheld word means: with both words of a sentence common, it
can be worked out; with one of them withheld, hardly.
"""


@dataclass(frozen=True)
class PronounSentence:
    """`{stem} {pronoun} was {reason}.`: the stem names `answer` and `other` and ends in "because"."""

    stem: str
    pronoun: str
    reason: str
    answer: str
    other: str

    @property
    def text(self) -> str:
        """The sentence with its pronoun."""
        return f"{self.stem} {self.pronoun} was {self.reason}."

    @property
    def resolved(self) -> str:
        """The sentence with the name in place of the pronoun."""
        return f"{self.stem} {self.answer} was {self.reason}."


def pronoun_sentence(world: World, rng: random.Random, *, withheld: bool = False) -> PronounSentence:
    """Draws a sentence; with `withheld`, one of the two names is of the withheld part at least."""
    first, second = world.sample(rng.choice((MALE, FEMALE)), rng, 2, force=withheld)
    giving, able = rng.random() < 0.5, rng.random() < 0.5
    words = replace(world, share=UNFAMILIAR)
    verb = words.pick(GIVING if giving else ASKING, rng)
    reason = words.pick(ABLE if able else NEEDY, rng)
    subject = giving == able
    answer, other = (first, second) if subject else (second, first)
    return PronounSentence(f"{first} {verb} {second} because", he(first), reason, answer, other)
