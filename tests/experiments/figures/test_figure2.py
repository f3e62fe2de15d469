"""Figure 2: its points, its sizes, and that nothing is clipped."""

import dataclasses
import re
from collections.abc import Callable
from functools import cache
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from experiments import published
from experiments.figures.figure2 import STYLES, TITLE, draw, points, values
from experiments.figures.style import OKABE_ITO, save, styled
from experiments.grid import find_grid, load_grid
from experiments.tables.accuracy import AccuracyTable
from experiments.tables.catalog import TABLES
from experiments.tables.variants import Variant
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec

RecordMaker = Callable[..., RunRecord]


@cache
def specs() -> dict[str, list[RunSpec]]:
    """Those of Table 4 on two tasks."""
    variants = load_grid(find_grid("table4"), resolved=lambda spec: spec).variants()
    return {name: [spec for spec in asked if spec.task in ("copa", "cb")] for name, asked in variants.items()}


def made(record: RecordMaker, *, without: tuple[str, ...] = (), extra: tuple[Variant, ...] = ()) -> AccuracyTable:
    """Each method with fewer parameters and a percent of accuracy more than the one before."""
    variants = []
    for number, (name, asked) in enumerate(specs().items()):
        share, kept = 0.5 + number / 100, 1000 - 50 * number
        costs = {"parameters": 1000, "trained_parameters": 1000, "stored_bytes": 4 * kept}
        records = [record(spec, {"a": share, "b": share}, examples=2, **costs) for spec in asked]
        variants.append(Variant(name, tuple(asked), () if name in without else tuple(records)))
    table = TABLES[4].build([*variants, *extra])
    assert isinstance(table, AccuracyTable)
    return table


def test_points(record: RecordMaker) -> None:
    shown = points(made(record))
    ours, theirs = [p for p in shown if not p.published], [p for p in shown if p.published]
    assert [p.label for p in ours] == [p.label for p in theirs] == list(specs())
    assert (ours[0].share, ours[0].accuracy) == (100, pytest.approx(50))
    assert (ours[1].share, ours[1].accuracy) == (95, pytest.approx(51))
    adapter = theirs[3]
    printed = published.accuracies(4)["Adapter"]
    assert adapter.share == pytest.approx(100 * 12.9e6 / 3e9)
    assert adapter.accuracy == pytest.approx((printed["copa"].median + printed["cb"].median) / 2)
    assert [row["accuracy"] for row in values(made(record))] == [p.accuracy for p in shown]


def test_bars_reach_from_quartile_to_quartile(record: RecordMaker) -> None:
    """Of 10, 30, 50 and 90 percent: 25 to 60, around a median of 40."""
    asked = tuple(dataclasses.replace(specs()["(IA)3"][0], seed=seed) for seed in (0, 1))
    shares = ({"a": 0.1, "b": 0.5}, {"a": 0.3, "b": 0.9})
    costs = {"parameters": 1000, "trained_parameters": 10, "stored_bytes": 40}
    records = tuple(record(spec, by_template, **costs) for spec, by_template in zip(asked, shares, strict=True))
    table = TABLES[4].build([Variant("(IA)3", asked, records)])
    (_, (bar,)) = draw(table).axes[0].containers[0][1:]
    assert bar.get_segments()[0][:, 1] == pytest.approx([25, 60])
    (row,) = (row for row in values(table) if row["source"] == "measured")
    assert (row["accuracy_lower"], row["accuracy_upper"]) == pytest.approx((25, 60))


def test_marks_have_the_same_colors_in_the_legend(record: RecordMaker) -> None:
    drawn = draw(made(record))
    (legend,) = drawn.legends
    texts = [text.get_text() for text in legend.get_texts()]
    colors = dict(zip(texts, [line.get_markerfacecolor() for line in legend.get_lines()], strict=True))
    for point in points(made(record)):
        shown = [line for axes in drawn.axes for line in axes.get_lines() if list(line.get_xdata()) == [point.share]]
        assert colors[point.family] in {line.get_markerfacecolor() for line in shown}


def test_unfinished_methods_are_left_out_and_counted(record: RecordMaker) -> None:
    table = made(record, without=("LoRA", "BitFit"))
    assert {p.label for p in points(table) if not p.published} == set(specs()) - {"LoRA", "BitFit"}
    assert "finished: 13 of 15" in draw(table).axes[0].get_title(loc="left")
    nothing = draw(made(record, without=tuple(specs())))
    assert nothing.axes[0].get_title(loc="left") == "Ours: no run yet"
    with styled():
        FigureCanvasAgg(nothing).draw()


def test_sizes_mark_budgets(record: RecordMaker) -> None:
    table = made(record)
    sizes = {}
    for axes, published_ones in zip(draw(table).axes, (False, True), strict=True):
        panel = [point for point in points(table) if point.published is published_ones]
        for point, drawn in zip(panel, [c.lines[0] for c in axes.containers], strict=True):
            assert (drawn.get_xdata()[0], drawn.get_ydata()[0]) == (point.share, point.accuracy)
            sizes[point.label, point.published] = drawn.get_markersize()
    for layer in (True, False):
        assert sizes["LoRA", layer] == sizes["Adapter", layer]
    assert sizes["FISH mask (0.02%)", True] < sizes["LoRA", True] < sizes["FISH mask (0.2%)", True]
    assert sizes["SAID (20K)", False] < sizes["LoRA", False] < sizes["SAID (500K)", False]


def test_panels_do_not_cover_each_other_and_have_the_same_scales(record: RecordMaker) -> None:
    left, right = draw(made(record)).axes
    assert left.get_title(loc="left").startswith("Ours: ")
    assert right.get_title(loc="left") == "As published: T0-3B, real tasks"
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    for axes in (left, right):
        (line,) = (line for line in axes.lines if line.get_linestyle() == "--")
        (full,) = (c.lines[0] for c in axes.containers if c.lines[0].get_marker() == STYLES["Full fine-tuning"][1])
        assert line.get_ydata()[0] == full.get_ydata()[0]


def test_every_method_has_a_marker_of_its_own(record: RecordMaker) -> None:
    assert len({marker for _, marker in STYLES.values()}) == len(STYLES)
    assert {color for color, _ in STYLES.values()} <= set(OKABE_ITO)
    assert {p.family for p in points(made(record))} == set(STYLES)


def test_a_method_of_ones_own_is_drawn(record: RecordMaker) -> None:
    costs = {"parameters": 1000, "trained_parameters": 1, "stored_bytes": 8}
    own = [
        record(RunSpec(task=spec.task, method="gains", seed=spec.seed), {"a": 0.9}, **costs) for spec in specs()["LoRA"]
    ]
    table = made(record, extra=(Variant.finished("Gains", own),))
    assert [p.share for p in points(table) if p.label == "Gains"] == [0.1]
    assert "Gains" in [text.get_text() for text in draw(table).legends[0].get_texts()]


def test_nothing_leaves_the_figure(record: RecordMaker) -> None:
    figure = draw(made(record))
    canvas = FigureCanvasAgg(figure)
    with styled():
        canvas.draw()
    renderer = canvas.get_renderer()
    legend = figure.legends[0].get_window_extent(renderer)
    assert 0 <= legend.y0 <= legend.y1 <= figure.bbox.y1
    assert legend.x1 <= figure.bbox.x1
    titles = []
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        assert "%" in axes.get_xlabel()
        assert legend.x0 > axes.get_window_extent(renderer).x1
        low, high = axes.get_xlim()
        bottom, top = axes.get_ylim()
        assert all(low < p.share < high and bottom < p.accuracy < top for p in points(made(record)))
        titles.append(axes._left_title.get_window_extent(renderer))  # type: ignore[attr-defined]
    assert "%" in figure.axes[0].get_ylabel()
    assert titles[0].x1 < titles[1].x0
    assert titles[1].x1 < legend.x0


def test_it_has_a_text_for_those_who_do_not_see_it(
    record: RecordMaker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    svg, _ = save(draw(made(record)), tmp_path_factory.mktemp("figure") / "figure2", TITLE)
    assert TITLE in re.sub(r"\s+", " ", "".join(ElementTree.parse(svg).getroot().itertext()))
