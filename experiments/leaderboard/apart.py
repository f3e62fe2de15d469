"""Marks that would cover each other, set apart, none to a better place than its own."""

import itertools
import math
from collections.abc import Iterator, Sequence

from experiments.leaderboard.labels import RADIUS

APART = 8
"""Between the centers of two marks at the least, so that each can be pointed at; two of the front, whose true places
are the figure's point, only keep from covering each other's center."""
Point = tuple[float, float]


def apart(points: Sequence[Point], front: Sequence[bool]) -> list[Point]:
    """Each point, or else the nearest free place to the right of it and below: neither cheaper nor more accurate.

    Those of the front choose first, and so stay where they are but for two of them that would cover each other.
    """
    placed: dict[int, Point] = {}
    for i in sorted(range(len(points)), key=lambda i: not front[i]):
        placed[i] = next(
            place
            for place in _no_better(*points[i])
            if all(
                math.dist(place, other) >= (RADIUS if front[i] and front[number] else APART)
                for number, other in placed.items()
            )
        )
    return [placed[i] for i in range(len(points))]


def _no_better(x: float, y: float) -> Iterator[Point]:
    """A place and others, ever farther from it, in the quarter where cost is higher and accuracy lower."""
    yield x, y
    for distance in itertools.count(1):
        for step in range(2 * distance + 1):
            angle = math.pi / 2 * (step / (2 * distance))  # never more than a right one
            yield x + distance * math.cos(angle), y + distance * math.sin(angle)
