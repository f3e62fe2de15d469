"""Marks that would cover each other, set apart, none to a better place than its own."""

import itertools
import math
from collections.abc import Iterator, Sequence

from experiments.leaderboard.labels import RADIUS, Segment

APART = 8
"""Between the centers of two marks at the least, so that each can be pointed at; two of the front, whose true places
are the figure's point, only keep from covering each other's center."""
Point = tuple[float, float]


def apart(points: Sequence[Point], importance: Sequence[int]) -> list[Point]:
    """Each point, or else the nearest free place to the right of it and below: neither cheaper nor more accurate.

    Args:
        points: the true places.
        importance: of each point: 0 on the front, and higher numbers choose later. So those of the front stay where
            they are but for two of them that would cover each other, and those with a rank but for one another.
    """
    placed: dict[int, Point] = {}
    for i in sorted(range(len(points)), key=importance.__getitem__):
        placed[i] = next(
            place
            for place in _no_better(*points[i])
            if all(
                math.dist(place, other) >= (RADIUS if importance[i] == importance[number] == 0 else APART)
                for number, other in placed.items()
            )
        )
    return [placed[i] for i in range(len(points))]


def tether(place: Point, mark: Point) -> Segment | None:
    """A line from the edge of a mark to its true place; None where that is under the mark."""
    length = math.dist(place, mark)
    if length <= RADIUS:
        return None
    (x, y), (end_x, end_y), share = mark, place, RADIUS / length
    start = x + share * (end_x - x), y + share * (end_y - y)
    return round(start[0], 1), round(start[1], 1), round(end_x, 1), round(end_y, 1)


def _no_better(x: float, y: float) -> Iterator[Point]:
    """A place and others, ever farther from it, in the quarter where cost is higher and accuracy lower."""
    yield x, y
    for distance in itertools.count(1):
        for step in range(2 * distance + 1):
            angle = math.pi / 2 * (step / (2 * distance))  # never more than a right one
            yield x + distance * math.cos(angle), y + distance * math.sin(angle)
