"""Functional facts: a subject has one place, one mood, one color or one owner."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tfew_pl.pocket.world.parts import Pool, World

MALE: Pool[str] = Pool.cut(
    "tom ben sam jack leo max adam paul eric hugo dave luke | omar ivan finn noah | carl seth troy alan".replace(
        "|", ""
    ).split(),
    4,
    4,
)
FEMALE: Pool[str] = Pool.cut(
    "ann mary lucy emma kate nina jane sara julia clara helen laura | ella zoe ruby tina | vera olga iris maya".replace(
        "|", ""
    ).split(),
    4,
    4,
)
NAMES: Pool[str] = Pool(MALE.common + FEMALE.common, MALE.development + FEMALE.development, MALE.test + FEMALE.test)
PLACES = tuple("kitchen garden park school library market station museum hotel farm office church attic cellar".split())
KINDS = {
    "fruit": tuple("apple pear banana peach lemon plum".split()),
    "animal": tuple("dog cat horse cow goat rabbit".split()),
    "tool": tuple("hammer saw shovel drill ladder rake".split()),
    "toy": tuple("doll kite puzzle balloon robot marble".split()),
}
KIND_OF = {thing: kind for kind, things in KINDS.items() for thing in things}
THINGS = tuple(KIND_OF)
COLORS = tuple("red blue green yellow black white brown".split())
MOODS: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("happy", "glad"), ("sad", "unhappy")),
    (("angry", "mad"), ("calm", "relaxed")),
    (("tired", "sleepy"), ("awake", "rested")),
    (("scared", "afraid"), ("brave", "fearless")),
    (("early", "punctual"), ("late", "delayed")),
    (("busy", "occupied"), ("free", "idle")),
)
"""Each row: a word and its synonym, the opposite and its synonym."""
LABEL_WORDS: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("true", "correct"), ("false", "incorrect")),
    (("guaranteed", "always"), ("impossible", "never")),
    (("possible", "maybe"), ("inconclusive", "neither")),
)
"""Label words of held-out templates, as ordinary vocabulary: as synonyms and opposites only."""

Kind = Literal["place", "mood", "color", "owner"]
_KINDS: tuple[Kind, ...] = ("place", "place", "mood", "color", "owner")


def he(name: str) -> str:
    """The pronoun of a name."""
    return "he" if name in MALE.items else "she"


@dataclass(frozen=True)
class Fact:
    """A subject, an attribute and its only value; a mood's value is (row, side) of `MOODS`."""

    kind: Kind
    subject: str
    value: str | tuple[int, int]

    def _word(self, rng: random.Random) -> str:
        return self.value if isinstance(self.value, str) else rng.choice(MOODS[self.value[0]][self.value[1]])

    def say(self, rng: random.Random) -> str:
        """The fact as a sentence."""
        subject, word = self.subject, self._word(rng)
        if self.kind == "place":
            return f"{subject} is in the {word}."
        if self.kind == "mood":
            return f"{subject} is {word}."
        if self.kind == "color":
            return f"the {subject} is {word}."
        return rng.choice([f"{word} has the {subject}.", f"the {subject} is with {word}."])

    def polar(self, rng: random.Random) -> str:
        """The fact as a yes-no question."""
        subject, word = self.subject, self._word(rng)
        if self.kind == "place":
            return f"is {subject} in the {word}?"
        if self.kind == "mood":
            return f"is {subject} {word}?"
        if self.kind == "color":
            return f"is the {subject} {word}?"
        return rng.choice([f"does {word} have the {subject}?", f"is the {subject} with {word}?"])

    def wh(self, rng: random.Random) -> tuple[str, str]:
        """A question about the fact and its answer."""
        subject, word = self.subject, self._word(rng)
        if self.kind == "place":
            return rng.choice([(f"where is {subject}?", word), (f"who is in the {word}?", subject)])
        if self.kind == "mood":
            return f"who is {word}?", subject
        if self.kind == "color":
            return rng.choice([(f"what color is the {subject}?", word), (f"what is {word}?", subject)])
        return rng.choice([(f"who has the {subject}?", word), (f"what does {word} have?", subject)])

    def contradiction(self, world: World, rng: random.Random, near: Sequence["Fact"] = ()) -> "Fact":
        """A fact that cannot hold beside this one; its value comes from `near` facts where they have one."""
        if not isinstance(self.value, str):
            return Fact(self.kind, self.subject, (self.value[0], 1 - self.value[1]))
        values = [fact.value for fact in near if fact.kind == self.kind and fact.value != self.value]
        if values:
            return Fact(self.kind, self.subject, rng.choice(values))
        if self.kind == "owner":
            return Fact(self.kind, self.subject, world.peers(NAMES, self.value, rng)[0])
        pool = PLACES if self.kind == "place" else COLORS
        return Fact(self.kind, self.subject, rng.choice([value for value in pool if value != self.value]))


def facts(world: World, rng: random.Random, count: int, *, withheld: bool = False) -> list[Fact]:
    """Facts with different subjects and values; with `withheld`, one names a person of the withheld part."""
    kinds = [rng.choice(_KINDS) for _ in range(count)]
    if all(kind == "color" for kind in kinds):
        kinds[rng.randrange(count)] = rng.choice(["place", "mood", "owner"])
    people = iter(world.sample(NAMES, rng, count, force=withheld))
    if withheld and "color" in kinds:  # the forced person must be among those that are used
        people = iter(sorted(people, key=lambda name: NAMES.part(name) == "common"))
    things, places = rng.sample(THINGS, count), rng.sample(PLACES, count)
    colors, moods = rng.sample(COLORS, count), rng.sample(range(len(MOODS)), count)
    out: list[Fact] = []
    for index, kind in enumerate(kinds):
        if kind == "place":
            out.append(Fact(kind, next(people), places[index]))
        elif kind == "mood":
            out.append(Fact(kind, next(people), (moods[index], rng.randrange(2))))
        elif kind == "color":
            out.append(Fact(kind, things[index], colors[index]))
        else:
            out.append(Fact(kind, things[index], next(people)))
    rng.shuffle(out)
    return out


def _single(world: World, rng: random.Random, kind: Kind) -> Fact:
    if kind == "color":
        return Fact(kind, rng.choice(THINGS), rng.choice(COLORS))
    if kind == "owner":
        return Fact(kind, rng.choice(THINGS), world.pick(NAMES, rng))
    value = rng.choice(PLACES) if kind == "place" else (rng.randrange(len(MOODS)), rng.randrange(2))
    return Fact(kind, world.pick(NAMES, rng), value)


def unmentioned(
    world: World, rng: random.Random, known: Sequence[Fact], near: float = 0.4, kind: Kind | None = None
) -> Fact:
    """A fact, of a `kind` if one is given, that the known ones neither support nor contradict.

    With probability `near` its person is one of the passage's, and its value may (one time in five) be another fact's.
    """
    attributes = {(fact.kind, fact.subject) for fact in known}
    people = [fact.subject for fact in known if fact.kind in ("place", "mood")]
    while True:
        fact = _single(world, rng, kind) if kind else facts(world, rng, 1)[0]
        if rng.random() < near:
            values = [other.value for other in known if other.kind == fact.kind]
            value = rng.choice(values) if values and rng.random() < 0.2 else fact.value
            person = rng.choice(people) if people and fact.kind in ("place", "mood") else fact.subject
            fact = Fact(fact.kind, person, value)
        if (fact.kind, fact.subject) not in attributes:
            return fact


def passage(rng: random.Random, known: Sequence[Fact]) -> str:
    """Facts as running text."""
    return " ".join(fact.say(rng) for fact in known)
