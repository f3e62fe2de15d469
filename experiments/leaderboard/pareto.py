"""Accuracy against cost: which rows no other row beats in both, and where the figure's marks stand."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from experiments.leaderboard.apart import Point, apart, tether
from experiments.leaderboard.board import Row
from experiments.leaderboard.labels import Box, Label, Named, Segment, labels
from experiments.quantities import scientific, size

WIDTH, HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 30, 16, 50
_ZERO = 72
"""Room for those that cost nothing, left of a logarithmic axis."""
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
    tether: Segment | None = None
    """A line to its true place; None where it stands there."""
    label: Label | None = None
    """Where its name stands; None where there is no room."""


@dataclass(frozen=True)
class Figure:
    """The layout of a figure; template/pareto.svg draws it."""

    axis: Axis
    marks: tuple[Mark, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    path: str
    """The front as an SVG path."""
    right: int
    bottom: int
    """Of the frame: as the scales end, or as far as marks that were set apart need it."""
    left: int = _LEFT
    top: int = _TOP

    @property
    def width(self) -> int:
        """Of the whole figure."""
        return self.right + _RIGHT

    @property
    def height(self) -> int:
        """Of the whole figure."""
        return self.bottom + _BOTTOM

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
    drawn.sort(key=lambda one: one[1:])
    places = [(x_of(cost), y_of(accuracy)) for _, cost, accuracy in drawn]
    true_front = [place for place, (row, *_) in zip(places, drawn, strict=True) if row.id in front]
    moved = apart(places, [0 if row.id in front else 1 if row.comparable else 2 for row, *_ in drawn])
    all_rows = [row for row, *_ in drawn]
    marks = [
        Mark(row, cost, accuracy, *at, row.id in front, _name(row, all_rows), tether(place, at))
        for (row, cost, accuracy), place, at in zip(drawn, places, moved, strict=True)
    ]
    right = max(WIDTH - _RIGHT, *(math.ceil(mark.x) for mark in marks))
    bottom = max(HEIGHT - _BOTTOM, *(math.ceil(mark.y) for mark in marks))
    named = [Named(mark.x, mark.y, mark.name, always=mark.on_front) for mark in marks]
    frame = (_LEFT, 0, right + _RIGHT, bottom)
    found = labels(named, _asking(marks), list(_lines(true_front, right)), frame)
    marks = [replace(mark, label=found.get(number)) for number, mark in enumerate(marks)]
    return Figure(axis, tuple(marks), x_ticks, y_ticks, _path(true_front, right), right, bottom)


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
    positive = [cost for cost in costs if cost >= 1]  # less than a byte is none
    start = _LEFT + (_ZERO if len(positive) < len(costs) else 0)
    low = math.floor(math.log10(min(positive, default=1)))
    high = max(math.ceil(math.log10(max(positive, default=1))), low + 1)

    def place(cost: float) -> float:
        if cost < 1:
            return _LEFT + _ZERO / 4
        return start + (math.log10(cost) - low) / (high - low) * (WIDTH - _RIGHT - start)

    step = math.ceil((high - low) / 8)
    ticks = [(place(10.0**power), axis.tick(10.0**power)) for power in range(low, high + 1, step)]
    return place, ((place(0), "0"), *ticks) if start > _LEFT else tuple(ticks)


def _y_scale(accuracies: Sequence[float]) -> tuple[Scale, Ticks]:
    low, high = min(5 * math.floor(min(accuracies) / 5), 95), min(5 * math.ceil((max(accuracies) + 1) / 5), 100)

    def place(accuracy: float) -> float:
        return HEIGHT - _BOTTOM - (accuracy - low) / (high - low) * (HEIGHT - _BOTTOM - _TOP)

    step = 5 if high - low <= 40 else 10
    return place, tuple((place(value), str(value)) for value in range(low, high + 1, step))


def _path(front: Sequence[Point], right: float) -> str:
    if not front:
        return ""
    steps = [f"M {front[0][0]:.1f} {front[0][1]:.1f}"] + [f"H {x:.1f} V {y:.1f}" for x, y in front[1:]]
    return " ".join([*steps, f"H {right}"])


def _lines(front: Sequence[Point], right: float) -> Iterator[Box]:
    """The front's line, level and upright."""
    for (x, y), (next_x, next_y) in itertools.pairwise([*front, *([(right, front[-1][1])] if front else [])]):
        yield x, y - 1, next_x, y + 1
        yield next_x - 1, next_y, next_x + 1, y


def _asking(marks: Sequence[Mark]) -> list[int]:
    """Which marks ask for labels: the front's first, then the best of each method, of those with a rank if it has one;
    then, unless there are many, the others.
    """
    downwards = sorted(range(len(marks)), key=lambda i: (not marks[i].row.comparable, -marks[i].accuracy))
    best = set({marks[i].row.spec.method: i for i in reversed(downwards)}.values())
    if len(marks) > _CROWDED:
        downwards = [i for i in downwards if marks[i].on_front or i in best]
    return sorted(downwards, key=lambda i: (not marks[i].on_front, i not in best))
