"""Figure 2: accuracy against the share of parameters that a method trains, ours above the paper's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments import published
from experiments.figures.style import OKABE_ITO, styled, with_subscripts
from experiments.quantities import count
from experiments.tables.accuracy import AccuracyTable
from tfew_pl.tasks.data import POCKET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Accuracy against the share of parameters that a method trains, ours and as published"
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
_SMALL, _MEDIUM, _LARGE = 6.0, 8.0, 11.0


@dataclass(frozen=True)
class Point:
    """A method in the figure."""

    label: str
    share: float
    """Of the backbone's parameters, in percent."""
    accuracy: float
    published: bool
    iqr: float | None = None

    @property
    def family(self) -> str:
        """The method without its budget: of `FISH mask (0.2%)`, `FISH mask`."""
        return re.sub(r" \([^)]*\)$", "", self.label)


def points(table: AccuracyTable) -> list[Point]:
    """Our methods whose runs are finished, then the paper's."""
    ours = [
        Point(
            name,
            100 * measured.costs["trained_parameters"] / measured.costs["parameters"],
            measured.accuracy.median,
            published=False,
            iqr=measured.accuracy.iqr,
        )
        for name, measured in table.measured
        if measured.accuracy is not None and measured.costs["trained_parameters"]
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
            "trained_percent": point.share,
            "accuracy": point.accuracy,
            "accuracy_iqr": point.iqr,
        }
        for point in points(table)
    ]


def draw(table: AccuracyTable) -> "Figure":
    """The figure: ours as filled markers, the paper's as open ones."""
    from matplotlib.figure import Figure

    shown = points(table)
    families = list(dict.fromkeys(point.family for point in shown))
    others = iter(_OTHERS * len(families))
    styles = {family: STYLES.get(family) or next(others) for family in families}
    with styled():
        figure = Figure(figsize=(9.6, 5.0), layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_xlabel("parameters trained (% of the backbone's)")
        axes.set_ylabel("mean accuracy over datasets (%); bars: IQR")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        for layer in (True, False):
            _draw_layer(axes, [point for point in shown if point.published is layer], styles)
        axes.set_title(_title(table), loc="left")
        _legend(figure, axes, styles, table)
    return figure


def _draw_layer(axes: "Axes", layer: Sequence[Point], styles: dict[str, tuple[str, str]]) -> None:
    for point in layer:
        color, marker = styles[point.family]
        edge = OKABE_ITO[color]
        axes.errorbar(
            point.share,
            point.accuracy,
            yerr=None if point.iqr is None else point.iqr / 2,
            ecolor="0.75",
            elinewidth=1,
            marker=marker,
            markersize=_size(point, layer),
            markerfacecolor="white" if point.published else edge,
            markeredgecolor=edge if point.published else "white",
            markeredgewidth=1.3 if point.published else 0.6,
            linestyle="none",
            zorder=(3 if point.published else 4) - _size(point, layer) / 100,  # the smaller above the larger
        )
        if point.label == _REFERENCE:
            style = (0, (1, 3)) if point.published else (0, (5, 3))
            axes.axhline(point.accuracy, color="0.55", linewidth=1, linestyle=style, zorder=1)


def _size(point: Point, layer: Sequence[Point]) -> float:
    """Larger and smaller for a family's larger and smaller budgets."""
    budgets = [other.share for other in layer if other.family == point.family]
    if len(budgets) == 1:
        return _MEDIUM
    return _LARGE if point.share == max(budgets) else _SMALL if point.share == min(budgets) else _MEDIUM


def _title(table: AccuracyTable) -> str:
    asked = len(table.measured)
    finished = sum(not ours.missing for _, ours in table.measured)
    title = with_subscripts(table.layout.title.replace("methods", "Methods", 1))
    return title if finished == asked else f"{title}; finished here: {finished} of {asked}"


def _legend(figure: "Figure", axes: "Axes", styles: dict[str, tuple[str, str]], table: AccuracyTable) -> None:
    from matplotlib.lines import Line2D

    def marker(color: str, shape: str, size: float, face: str | None = None) -> Line2D:
        return Line2D(
            [], [], linestyle="none", marker=shape, markersize=size, color=color, markerfacecolor=face or color
        )

    grey = "0.35"
    layers = [(marker(grey, "o", 7), f"ours: {_backbones(table)}"), (marker(grey, "o", 7, "white"), _papers(table))]
    sizes = [(marker(grey, "o", _SMALL), "smaller budget"), (marker(grey, "o", _LARGE), "larger budget")]
    lines = [
        (Line2D([], [], color="0.55", linewidth=1, linestyle=(0, (5, 3))), "full fine-tuning, ours"),
        (Line2D([], [], color="0.55", linewidth=1, linestyle=(0, (1, 3))), "full fine-tuning, published"),
    ]
    methods = [(marker(OKABE_ITO[color], shape, _MEDIUM), family) for family, (color, shape) in styles.items()]
    entries = [*layers, *sizes, *lines, *methods]
    figure.legend(
        [handle for handle, _ in entries],
        [label for _, label in entries],
        loc="outside right upper",
        frameon=False,
        fontsize=9,
    )


def _backbones(table: AccuracyTable) -> str:
    found = dict.fromkeys(
        f"{ours.backbone} ({count(ours.costs['parameters'])}),\n{'generated' if ours.data == POCKET else 'real'} tasks"
        for _, ours in table.measured
        if ours.costs
    )
    return ", ".join(found) or "no run yet"


def _papers(table: AccuracyTable) -> str:
    backbone, _, tasks = table.layout.papers.partition(" on the ")
    return f"published: {backbone},\n{tasks}"
