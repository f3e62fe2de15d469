"""Figure 2: accuracy against the share of parameters that a method keeps for a task, ours beside the paper's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments import published
from experiments.figures.style import OKABE_ITO, bars, styled, with_subscripts
from experiments.quantities import count
from experiments.tables.accuracy import AccuracyTable
from tfew_pl.tasks.data import POCKET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Accuracy against the share of parameters that a method keeps for a task, ours and as published"
"""What the figure shows, for readers that do not see it."""
STYLES = {
    "Full fine-tuning": ("black", "X"),
    "BitFit": ("sky blue", "v"),
    "LayerNorm": ("sky blue", "^"),
    "Adapter": ("green", "s"),
    "Compacter": ("green", "p"),
    "Compacter++": ("green", "P"),
    "Prompt tuning": ("orange", "<"),
    "Prefix tuning": ("orange", ">"),
    "FISH mask": ("purple", "D"),
    "SAID": ("purple", "h"),
    "LoRA": ("blue", "d"),
    "(IA)3": ("vermilion", "o"),
}
"""Color and marker of a family of methods; markers alone tell them apart."""
_OTHERS = tuple(("black", marker) for marker in "*8H1234")
_REFERENCE = "Full fine-tuning"
_LINE: Any = {"color": "0.55", "linewidth": 1, "linestyle": (0, (5, 3))}
"""Of the reference's accuracy."""
_SMALL, _MEDIUM, _LARGE = 6.0, 8.0, 11.0


@dataclass(frozen=True)
class Point:
    """A method in the figure."""

    label: str
    share: float
    """Of the backbone's parameters, in percent."""
    accuracy: float
    published: bool
    quartiles: tuple[float, float] | None = None
    """Means over tasks; None where they are not known."""

    @property
    def family(self) -> str:
        """The method without its budget: of `FISH mask (0.2%)`, `FISH mask`."""
        return re.sub(r" \([^)]*\)$", "", self.label)


def points(table: AccuracyTable) -> list[Point]:
    """Our methods whose runs are finished, then the paper's."""
    ours = [
        Point(
            name,
            100 * measured.kept_parameters / measured.costs["parameters"],
            measured.accuracy.median,
            published=False,
            quartiles=(measured.accuracy.lower, measured.accuracy.upper),
        )
        for name, measured in table.measured
        if measured.accuracy is not None and measured.kept_parameters
    ]
    counts = published.parameter_counts()
    theirs = []
    for row in table.rows:
        mean = table.paper_mean(row)
        if mean is not None:
            theirs.append(Point(row.name, 100 * counts[row.name] / counts[_REFERENCE], mean, published=True))
    return ours + theirs


def values(table: AccuracyTable) -> list[dict[str, Any]]:
    """A dictionary a point."""
    return [
        {
            "method": point.label,
            "source": "published" if point.published else "measured",
            "kept_percent": point.share,
            "accuracy": point.accuracy,
            "accuracy_lower": point.quartiles and point.quartiles[0],
            "accuracy_upper": point.quartiles and point.quartiles[1],
        }
        for point in points(table)
    ]


def draw(table: AccuracyTable) -> "Figure":
    """The figure: a panel of ours and a panel of the paper's, with the same scales."""
    from matplotlib.figure import Figure

    shown = points(table)
    families = list(dict.fromkeys(point.family for point in shown))
    others = iter(_OTHERS * len(families))
    styles = {family: STYLES.get(family) or next(others) for family in families}
    with styled():
        figure = Figure(figsize=(11.6, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        left.set_xscale("log")
        left.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        left.set_ylabel("mean accuracy over datasets (%); bars: quartiles")
        for axes, title, published_ones in ((left, _ours(table), False), (right, _papers(table), True)):
            axes.set_xlabel("parameters kept for a task (% of the backbone's)")
            axes.set_title(title, loc="left")
            _draw_panel(axes, [point for point in shown if point.published is published_ones], styles)
        figure.suptitle(with_subscripts(table.layout.title.replace("methods", "Methods", 1)), fontsize=11)
        _legend(figure, styles)
    return figure


def _draw_panel(axes: "Axes", panel: Sequence[Point], styles: dict[str, tuple[str, str]]) -> None:
    for point in panel:
        color, marker = styles[point.family]
        size = _size(point, panel)
        axes.errorbar(
            point.share,
            point.accuracy,
            yerr=bars(point.accuracy, point.quartiles),
            ecolor="0.75",
            elinewidth=1,
            color=OKABE_ITO[color],
            marker=marker,
            markersize=size,
            markeredgecolor="white",
            markeredgewidth=0.6,
            linestyle="none",
            zorder=4 - size / 100,  # the smaller above the larger
        )
    for point in panel:
        if point.label == _REFERENCE:
            axes.axhline(point.accuracy, **_LINE, zorder=1)


def _size(point: Point, panel: Sequence[Point]) -> float:
    """Larger and smaller for a family's larger and smaller budgets."""
    budgets = [other.share for other in panel if other.family == point.family]
    if len(budgets) == 1:
        return _MEDIUM
    return _LARGE if point.share == max(budgets) else _SMALL if point.share == min(budgets) else _MEDIUM


def _legend(figure: "Figure", styles: dict[str, tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    def marker(color: str, shape: str, size: float) -> Line2D:
        return Line2D([], [], linestyle="none", marker=shape, markersize=size, color=color, markeredgecolor="white")

    methods = [(marker(OKABE_ITO[color], shape, _MEDIUM), family) for family, (color, shape) in styles.items()]
    for handle, family in methods:
        if family == _REFERENCE:  # the mark and the line across the panel
            handle.set(linestyle=_LINE["linestyle"], linewidth=_LINE["linewidth"])
    entries = [
        *methods,
        (marker("0.35", "o", _SMALL), "smaller budget"),
        (marker("0.35", "o", _LARGE), "larger budget"),
    ]
    figure.legend(
        [handle for handle, _ in entries],
        [label for _, label in entries],
        loc="outside right upper",
        frameon=False,
        fontsize=9,
    )


def _ours(table: AccuracyTable) -> str:
    backbones = dict.fromkeys(
        f"{ours.backbone} ({count(ours.costs['parameters'])})" for _, ours in table.measured if ours.costs
    )
    if not backbones:
        return "Ours: no run yet"
    tasks = "generated" if any(ours.data == POCKET for _, ours in table.measured) else "real"
    asked, finished = len(table.measured), sum(not ours.missing for _, ours in table.measured)
    so_far = "" if finished == asked else f"; finished: {finished} of {asked}"
    return f"Ours: {', '.join(backbones)}, {tasks} tasks{so_far}"


def _papers(table: AccuracyTable) -> str:
    backbone, _, tasks = table.layout.papers.partition(" on the ")
    return f"As published: {backbone}, {tasks}"
