"""The split of the world: what everybody sees, and what is kept for development and for the test.

Items in the parts "development" and "test" occur in running text (so that the model knows the words), never in
a prompted or compact question before the held-out task that asks about them. A few of their words are also parts of
other items, and occur as such: "cold" in "caught a cold".
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Part = Literal["common", "development", "test"]
T = TypeVar("T")


@dataclass(frozen=True)
class Pool(Generic[T]):
    """Items of one sort, in three parts."""

    common: tuple[T, ...]
    development: tuple[T, ...]
    test: tuple[T, ...]

    @classmethod
    def cut(cls, items: Sequence[T], development: int, test: int) -> "Pool[T]":
        """The last `test` items are the test part, the `development` items before them the development part."""
        first, second = len(items) - development - test, len(items) - test
        return cls(tuple(items[:first]), tuple(items[first:second]), tuple(items[second:]))

    @property
    def items(self) -> tuple[T, ...]:
        """All items, whatever their part."""
        return self.common + self.development + self.test

    def part(self, item: T) -> Part:
        """The part an item belongs to."""
        if item in self.common:
            return "common"
        return "development" if item in self.development else "test"

    def of(self, part: Part) -> tuple[T, ...]:
        """The items of one part."""
        return {"common": self.common, "development": self.development, "test": self.test}[part]


@dataclass(frozen=True)
class World:
    """Which parts of the pools a generator may use.

    Args:
        withheld: the withheld part in use beside the common one; None for the common part alone.
        share: probability that a draw comes from the withheld part.
        everything: all parts alike (running text).
    """

    withheld: Literal["development", "test"] | None = None
    share: float = 0.5
    everything: bool = False

    def pick(self, pool: Pool[T], rng: random.Random, *, force: bool = False) -> T:
        """One item; with `force`, from the withheld part if there is one."""
        if self.everything:
            return rng.choice(pool.items)
        if self.withheld is not None and (force or rng.random() < self.share):
            return rng.choice(pool.of(self.withheld))
        return rng.choice(pool.common)

    def sample(self, pool: Pool[T], rng: random.Random, count: int, *, force: bool = False) -> list[T]:
        """`count` different items in random order; with `force`, one at least of the withheld part."""
        items: list[T] = []
        while len(items) < count:
            item = self.pick(pool, rng, force=force and not items)
            if item not in items:
                items.append(item)
        rng.shuffle(items)
        return items

    def peers(self, pool: Pool[T], item: T, rng: random.Random, count: int = 1) -> list[T]:
        """Different items of the same part, so that being withheld never tells a right choice from a wrong one."""
        candidates = [other for other in pool.of(pool.part(item)) if other != item]
        if len(candidates) < count:
            candidates = [other for other in pool.common if other != item]
        return rng.sample(candidates, count)


COMMON = World()
ALL = World(everything=True)
