"""Names of marks in a figure: where they stand, clear of all marks, lines and each other."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from experiments.leaderboard.text_width import text_width

SIZE = 13
"""Of the type, in the units of the view box; page.css says it, too."""
_ABOVE, _BELOW = 12, 4
"""Of a line of that size, over and under its base line."""
RADIUS = 5
"""Of a mark with its edge; pareto.svg and page.css say it, too."""
_GAP = 3
"""Between a mark and a label beside it."""
_FARTHEST, _STEP, _DIRECTIONS = 300, 6, 24
"""How far from its mark a label may stand, and at which distances and in how many directions it is tried."""
_CROSSING = 100
"""How much longer a leader counts for each mark and label that it crosses."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Segment = tuple[float, float, float, float]
"""From a point to another."""


@dataclass(frozen=True)
class Label:
    """A label's place."""

    x: float
    y: float
    """Of its base line."""
    anchor: str
    """SVG's text-anchor."""
    leader: Segment | None = None
    """A line to it from its mark; None where it stands beside the mark."""


Place = tuple[Box, Label]
"""What a label would cover, and how it would stand there."""


@dataclass(frozen=True)
class Named:
    """A mark that may have a label."""

    x: float
    y: float
    name: str
    always: bool = False
    """Whether it has one far from it, with a leader, where there is no room beside it."""


def labels(marks: Sequence[Named], order: Sequence[int], lines: Sequence[Box], frame: Box) -> dict[int, Label]:
    """Places for the labels of some marks, by their numbers; without one are those for which there is no room.

    Args:
        marks: all that no label may cover.
        order: numbers of those that ask for one, the most important first.
        lines: more that no label may cover.
        frame: in which labels stand.
    """
    around = [(m.x - RADIUS, m.y - RADIUS, m.x + RADIUS, m.y + RADIUS) for m in marks]
    texts: list[Box] = []
    leaders: list[Segment] = []
    found: dict[int, Label] = {}

    def free(place: Place) -> bool:
        box = place[0]
        inside = frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]
        covers = any(_overlap(box, other) for other in (*around, *lines, *texts))
        return inside and not covers and not any(_crosses(leader, box) for leader in leaders)

    def length(number: int, leader: Segment) -> float:
        """Of a leader; what it crosses counts as a way around."""
        others = [_middle(box) for i, box in enumerate(around) if i != number]
        return math.dist(leader[:2], leader[2:]) + _CROSSING * sum(_crosses(leader, box) for box in (*others, *texts))

    for number in order:
        mark = marks[number]
        place = next(filter(free, _beside(mark)), None)
        if place is None and mark.always:
            away = {place: length(number, place[1].leader) for place in _away(mark) if place[1].leader and free(place)}
            place = min(away, key=away.__getitem__, default=None)
        if place is None:
            continue
        box, found[number] = place
        texts.append(box)
        leaders += filter(None, [found[number].leader])
    return found


def _beside(mark: Named) -> Iterator[Place]:
    """Places beside, above and below a mark."""
    side = RADIUS + _GAP
    above, level, below = mark.y - RADIUS - _BELOW - 1, mark.y + 4, mark.y + RADIUS + _ABOVE + 1
    for x, y, anchor in (
        (mark.x + side, level, "start"),
        (mark.x - side, level, "end"),
        (mark.x, above, "middle"),
        (mark.x, below, "middle"),
        (mark.x + 2, below, "start"),
        (mark.x - 2, above, "end"),
        (mark.x - 2, below, "end"),
        (mark.x + 2, above, "start"),
    ):
        yield _box(mark.name, x, y, anchor), Label(round(x, 1), round(y, 1), anchor)


def _away(mark: Named) -> Iterator[Place]:
    """Places ever farther from a mark, with a leader from its edge to the nearest point of the label."""
    for distance in range(RADIUS + _ABOVE, _FARTHEST, _STEP):
        for direction in range(_DIRECTIONS):
            angle = 2 * math.pi * direction / _DIRECTIONS
            x, y = mark.x + distance * math.cos(angle), mark.y + distance * math.sin(angle)
            box = _box(mark.name, x, y, "middle")
            end = min(max(mark.x, box[0]), box[2]), min(max(mark.y, box[1]), box[3])
            length = math.dist((mark.x, mark.y), end)
            if length < 2 * RADIUS:  # too short to be seen
                continue
            edge = RADIUS / length
            start = mark.x + edge * (end[0] - mark.x), mark.y + edge * (end[1] - mark.y)
            leader = round(start[0], 1), round(start[1], 1), round(end[0], 1), round(end[1], 1)
            yield box, Label(round(x, 1), round(y, 1), "middle", leader)


def _box(text: str, x: float, y: float, anchor: str) -> Box:
    width = text_width(text, SIZE)
    left = x - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
    return left - 1, y - _ABOVE, left + width + 1, y + _BELOW


def _middle(box: Box) -> Box:
    """The half of a mark's box that a line must not touch."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return x - RADIUS / 2, y - RADIUS / 2, x + RADIUS / 2, y + RADIUS / 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _crosses(segment: Segment, box: Box) -> bool:
    """Whether a part of a segment lies in a box (Liang and Barsky 1984)."""
    x, y, end_x, end_y = segment
    enter, leave = 0.0, 1.0
    for step, start, low, high in ((end_x - x, x, box[0], box[2]), (end_y - y, y, box[1], box[3])):
        if step == 0:
            if not low < start < high:
                return False
            continue
        one, two = sorted(((low - start) / step, (high - start) / step))
        enter, leave = max(enter, one), min(leave, two)
    return enter < leave
