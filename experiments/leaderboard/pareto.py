"""Accuracy against cost: which rows no other row beats in both, and where the figure's marks stand."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from experiments.leaderboard.board import Row
from experiments.quantities import scientific, size

WIDTH, HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 30, 16, 50
_ZERO = 72
"""Room for those that cost nothing, left of a logarithmic axis."""
_CHARACTER, _LINE = 6.8, 15
"""Width of a character and height of a line of a label."""
_RADIUS = 5
_APART = 8
"""Between the centers of two marks at the least, so that each can be pointed at."""
_LONGEST = 32
"""Characters of a label; of more changes than fit it says that there are some: "lora …"."""
_CROWDED = 24
"""Marks above which labels are as short as that, and a method has one beside the front's, at its best mark."""


@dataclass(frozen=True)
class Axis:
    """A cost to draw accuracy against."""

    key: str
    """A cost of a row."""
    title: str
    tick: Callable[[float], str]
    """A power of ten as a tick's label."""
    say: Callable[[float], str]
    """Any cost as text."""


def _power(value: float) -> str:
    return f"10{str(round(math.log10(value))).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


AXES = (
    Axis("measured_inference_flops", "FLOPs of one prediction", _power, scientific),
    Axis("measured_training_flops", "FLOPs of one training", _power, scientific),
    Axis("measured_stored_bytes", "storage for one task", size, size),
)


@dataclass(frozen=True)
class Mark:
    """A row in the figure, in the units of its view box."""

    row: Row
    cost: float
    accuracy: float
    x: float
    y: float
    on_front: bool
    name: str
    label: tuple[float, float, str] | None = None
    """Its place and SVG's text-anchor; None where there is no room."""


@dataclass(frozen=True)
class Figure:
    """The layout of a figure; template/pareto.svg draws it."""

    axis: Axis
    marks: tuple[Mark, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    path: str
    """The front as an SVG path."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM
    top: int = _TOP

    @property
    def front(self) -> list[Mark]:
        """The marks on the front, from the cheapest."""
        return [mark for mark in self.marks if mark.on_front]


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For each (cost, accuracy), whether no other point is at least as good in both and better in one."""
    return [
        not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points)
        for cost, accuracy in points
    ]


def figure(rows: Sequence[Row], axis: Axis) -> Figure:
    """The figure of the rows that have every task; the front is of the comparable ones.

    Raises:
        ValueError: there is none.
    """
    drawn = [(row, float(row.costs[axis.key]), row.mean.median) for row in rows if row.mean]
    if not drawn:
        raise ValueError("a figure of no rows")
    x_of, x_ticks = _x_scale([cost for _, cost, _ in drawn], axis)
    y_of, y_ticks = _y_scale([accuracy for *_, accuracy in drawn])
    comparable = [(row.id, (cost, accuracy)) for row, cost, accuracy in drawn if row.comparable]
    flags = on_front([point for _, point in comparable])
    front = {row for (row, _), flag in zip(comparable, flags, strict=True) if flag}
    all_rows = [row for row, *_ in drawn]
    marks = [
        Mark(row, cost, accuracy, x_of(cost), y_of(accuracy), row.id in front, _name(row, all_rows))
        for row, cost, accuracy in drawn
    ]
    marks.sort(key=lambda mark: (mark.cost, mark.accuracy))
    path = _path([mark for mark in marks if mark.on_front])  # through their true places
    return Figure(axis, tuple(_labeled(_apart(marks))), x_ticks, y_ticks, path)


def _name(row: Row, rows: Sequence[Row]) -> str:
    """The method, and what tells it from other rows of the method: its backbone, its changes."""
    alike = [other.spec.backbone for other in rows if other.spec.method == row.spec.method]
    if len(alike) == 1:
        return row.spec.method
    named = f"{row.spec.method} ({row.spec.backbone})" if len(set(alike)) > 1 else row.spec.method
    if not row.changes:
        return named
    whole = f"{named} {', '.join(row.changes)}"
    return whole if len(whole) <= _LONGEST and len(rows) <= _CROWDED else f"{named} …"


Scale = Callable[[float], float]
Ticks = tuple[tuple[float, str], ...]


def _x_scale(costs: Sequence[float], axis: Axis) -> tuple[Scale, Ticks]:
    positive = [cost for cost in costs if cost > 0]
    start = _LEFT + (_ZERO if len(positive) < len(costs) else 0)
    low = math.floor(math.log10(min(positive, default=1)))
    high = max(math.ceil(math.log10(max(positive, default=1))), low + 1)

    def place(cost: float) -> float:
        if cost <= 0:
            return _LEFT + _ZERO / 4
        return start + (math.log10(cost) - low) / (high - low) * (WIDTH - _RIGHT - start)

    step = math.ceil((high - low) / 8)
    ticks = [(place(10.0**power), axis.tick(10.0**power)) for power in range(low, high + 1, step)]
    return place, ((place(0), "0"), *ticks) if start > _LEFT else tuple(ticks)


def _y_scale(accuracies: Sequence[float]) -> tuple[Scale, Ticks]:
    low, high = 5 * math.floor(min(accuracies) / 5), 5 * math.ceil((max(accuracies) + 1) / 5)

    def place(accuracy: float) -> float:
        return HEIGHT - _BOTTOM - (accuracy - low) / (high - low) * (HEIGHT - _BOTTOM - _TOP)

    step = 5 if high - low <= 40 else 10
    return place, tuple((place(value), str(value)) for value in range(low, high + 1, step))


def _apart(marks: Sequence[Mark]) -> list[Mark]:
    """The marks, each at the free place nearest to its own; those on the front choose first."""
    placed: dict[str, Mark] = {}
    for mark in sorted(marks, key=lambda m: not m.on_front):
        x, y = next(
            (x, y)
            for x, y in _around(mark.x, mark.y)
            if all(math.hypot(x - other.x, y - other.y) >= _APART for other in placed.values())
        )
        placed[mark.row.id] = replace(mark, x=x, y=y)
    return [placed[mark.row.id] for mark in marks]


def _around(x: float, y: float) -> Iterator[tuple[float, float]]:
    """A place and others inside the frame, ever farther from it."""
    yield x, y
    for distance in itertools.count(1):
        for step in range(8 * distance):
            angle = 2 * math.pi * step / (8 * distance)
            other = x + distance * math.cos(angle), y + distance * math.sin(angle)
            if _LEFT <= other[0] <= WIDTH - _RIGHT and _TOP <= other[1] <= HEIGHT - _BOTTOM:
                yield other


def _path(front: Sequence[Mark]) -> str:
    if not front:
        return ""
    steps = [f"M {front[0].x:.1f} {front[0].y:.1f}"] + [f"H {mark.x:.1f} V {mark.y:.1f}" for mark in front[1:]]
    return " ".join([*steps, f"H {WIDTH - _RIGHT}"])


def _labeled(marks: Sequence[Mark]) -> Iterator[Mark]:
    """The marks with labels beside, above or below them, clear of all marks and of each other.

    Where there is no room for all, the front's come first, then the best mark of each method.
    """
    taken = [(m.x - _RADIUS, m.y - _RADIUS, m.x + _RADIUS, m.y + _RADIUS) for m in marks]
    front = [m for m in marks if m.on_front]
    for mark, following in itertools.zip_longest(front, front[1:]):  # the front's line, level and upright
        end = following.x if following else WIDTH - _RIGHT
        taken.append((mark.x, mark.y - 1, end, mark.y + 1))
        if following:
            taken.append((end - 1, following.y, end + 1, mark.y))
    labels: dict[str, tuple[float, float, str]] = {}
    downwards = sorted(marks, key=lambda m: -m.accuracy)
    best = {mark.row.id for mark in {m.row.spec.method: m for m in reversed(downwards)}.values()}
    if len(marks) > _CROWDED:
        downwards = [mark for mark in downwards if mark.on_front or mark.row.id in best]
    for mark in sorted(downwards, key=lambda m: (not m.on_front, m.row.id not in best)):
        for box, label in _places(mark):
            inside = box[0] >= _LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - _BOTTOM
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                labels[mark.row.id] = label
                break
    for mark in marks:
        yield replace(mark, label=labels.get(mark.row.id))


Box = tuple[float, float, float, float]


def _places(mark: Mark) -> Iterator[tuple[Box, tuple[float, float, str]]]:
    width, gap = _CHARACTER * len(mark.name), _RADIUS + 4
    for x, y, anchor in (
        (mark.x + gap, mark.y + 4, "start"),
        (mark.x - gap, mark.y + 4, "end"),
        (mark.x, mark.y - gap, "middle"),
        (mark.x, mark.y + gap + 10, "middle"),
        (mark.x + 2, mark.y + gap + 10, "start"),
        (mark.x - 2, mark.y - gap, "end"),
        (mark.x - 2, mark.y + gap + 10, "end"),
        (mark.x + 2, mark.y - gap, "start"),
    ):
        left = x - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
        yield (left, y - _LINE + 4, left + width, y + 4), (round(x, 1), round(y, 1), anchor)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
