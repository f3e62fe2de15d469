"""Figure 3: accuracy against the cost of a prediction, ours beside the paper's; from the runs of Table 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments import published
from experiments.figures.style import OKABE_ITO, bars, styled
from experiments.quantities import count
from experiments.tables.table1 import PAPER_ROWS, Table1
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.data import POCKET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Accuracy against FLOPs of one prediction, ours and as published"
"""What the figure shows, for readers that do not see it."""
COLORS = {
    "T-Few": OKABE_ITO["vermilion"],
    "T0": OKABE_ITO["blue"],
    "T5+LM": OKABE_ITO["green"],
    "GPT-3": OKABE_ITO["black"],
}
MARKERS = {"T-Few": "o", "T0": "s", "T5+LM": "^", "GPT-3": "D"}
_OTHER = (OKABE_ITO["purple"], "v")
_LINE, _CHARACTER = 0.055, 0.02
"""Height of a line of text and width of a character, as shares of the axes."""


@dataclass(frozen=True)
class Point:
    """A method in the figure."""

    label: str
    kind: str
    """The paper's row that gives it its color and marker; `GPT-3` for all of those."""
    flops: float
    accuracy: float
    quartiles: tuple[float, float] | None = None
    """Means over tasks; None where they are not known."""


def ours(table: Table1) -> list[Point]:
    """Our rows whose runs are finished, their cost by the paper's formula."""
    return [
        Point(
            row.name,
            PAPER_ROWS.get(measured.method, row.name),
            measured.costs["inference_flops"],
            measured.accuracy.median,
            (measured.accuracy.lower, measured.accuracy.upper),
        )
        for row, measured in table.measured
        if measured.accuracy is not None
    ]


def papers() -> list[Point]:
    """What the paper prints."""
    return [
        Point(row.method, row.method if row.encoder_decoder else "GPT-3", row.inference_flops, row.accuracy)
        for row in published.table1().values()
    ]


def values(table: Table1) -> list[dict[str, Any]]:
    """A dictionary a point."""
    return [
        {
            "method": point.label,
            "source": source,
            "inference_flops": point.flops,
            "accuracy": point.accuracy,
            "accuracy_lower": point.quartiles and point.quartiles[0],
            "accuracy_upper": point.quartiles and point.quartiles[1],
        }
        for source, points in (("measured", ours(table)), ("published", papers()))
        for point in points
    ]


def draw(table: Table1) -> "Figure":
    """The figure: a panel of ours and a panel of the paper's, with one scale of accuracy."""
    from matplotlib.figure import Figure

    mine, theirs = ours(table), papers()
    chance = 100 * sum(task.chance for task in TASKS.values()) / len(TASKS)
    ends = [end for point in (*mine, *theirs) for end in (point.accuracy, *(point.quartiles or ()))]
    with styled():
        figure = Figure(figsize=(9.6, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        left.set_ylim(min(chance, *ends) - 4, max(ends) + 4)
        left.set_ylabel("mean accuracy over tasks (%); bars: quartiles")
        left.set_title(f"Ours: {_setting(table)}")
        right.set_title("As published: T0 and T5+LM (11B), GPT-3; real tasks")
        for axes, points in ((left, mine), (right, theirs)):
            axes.set_xlabel("FLOPs of one prediction")
            axes.axhline(chance, color="0.5", linewidth=1, linestyle=(0, (4, 3)))
            axes.text(0.01, chance, "chance", transform=axes.get_yaxis_transform(), va="bottom", color="0.35")
            _draw_points(axes, points)
    return figure


def _setting(table: Table1) -> str:
    measured = [ours for _, ours in table.measured if ours.costs]
    if not measured:
        return "no run yet"
    backbones = dict.fromkeys(f"{ours.backbone} ({count(ours.costs['parameters'])})" for ours in measured)
    world = "generated tasks" if measured[0].data == POCKET else "real tasks"
    return f"{', '.join(backbones)}; {world}"


def _draw_points(axes: "Axes", points: Sequence[Point]) -> None:
    axes.set_xscale("log")
    if not points:
        return
    flops = [point.flops for point in points]
    room = max(math.sqrt(max(flops) / min(flops)), 10.0)  # the labels stand inside the axes
    axes.set_xlim(min(flops) / room**0.4, max(flops) * room**0.4)
    middle = math.sqrt(min(flops) * max(flops))
    for point in points:
        axes.errorbar(
            point.flops,
            point.accuracy,
            yerr=bars(point.accuracy, point.quartiles),
            color=COLORS.get(point.kind, _OTHER[0]),
            marker=MARKERS.get(point.kind, _OTHER[1]),
            markersize=9,
            markeredgecolor="white",
            capsize=3,
            zorder=3,
        )
    _label(axes, points, middle)


def _label(axes: "Axes", points: Sequence[Point], middle: float) -> None:
    """Writes names beside points, toward the middle; from the lowest up, each clear of those before it."""
    low, high = axes.get_ylim()
    left, right = map(math.log, axes.get_xlim())
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda p: p.accuracy):
        text = f"{point.label} {point.accuracy:.1f}"
        on_the_left = point.flops > middle
        place = (math.log(point.flops) - left) / (right - left)
        width = _CHARACTER * (len(text) + 2)
        start, end = (place - width, place) if on_the_left else (place, place + width)
        height = point.accuracy
        for other_start, other_end, other_height in taken:
            if start < other_end and other_start < end:
                height = max(height, other_height + _LINE * (high - low))
        taken.append((start, end, height))
        axes.annotate(
            text,
            (point.flops, height),
            xytext=(-9 if on_the_left else 9, 0),
            textcoords="offset points",
            ha="right" if on_the_left else "left",
            va="center",
        )
