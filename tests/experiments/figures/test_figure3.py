"""Figure 3: what is in it, and that nothing overlaps or is clipped."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from experiments.figures.figure3 import COLORS, MARKERS, TITLE, draw, ours, papers, values
from experiments.figures.style import OKABE_ITO, save, styled
from experiments.tables.table1 import Table1
from experiments.tables.table1 import table1 as build
from experiments.tables.variants import Variant
from tfew_pl.record import RunRecord

Variants = dict[str, list[RunRecord]]


def table1(variants: Variants) -> Table1:
    return build([Variant.finished(*variant) for variant in variants.items()])


@pytest.fixture
def table(variants: Variants) -> Table1:
    return table1(variants)


def laid_out(figure: Figure) -> FigureCanvasAgg:
    canvas = FigureCanvasAgg(figure)
    with styled():
        canvas.draw()
    return canvas


def test_points_are_the_tables(table: Table1) -> None:
    assert [(p.label, p.kind) for p in ours(table)] == [
        ("T-Few", "T-Few"),
        ("Zero-shot", "T0"),
        ("In-context learning", "T5+LM"),
    ]
    first = table.rows[0].values()
    assert (ours(table)[0].accuracy, ours(table)[0].flops) == (first["accuracy"], first["inference_flops"])
    assert [(p.flops, p.accuracy) for p in papers()][-1] == (1.4e15, 66.6)


def test_values_are_the_points(table: Table1) -> None:
    rows = values(table)
    assert [row["source"] for row in rows] == ["measured"] * 3 + ["published"] * 6
    assert [row["inference_flops"] for row in rows] == [p.flops for p in (*ours(table), *papers())]


def test_unfinished_rows_are_left_out(variants: Variants) -> None:
    """Without any run at all, too, it can be drawn."""
    specs = {name: tuple(record.spec for record in records) for name, records in variants.items()}
    some = build([Variant(name, specs[name], tuple(variants[name][:-1])) for name in specs])
    none = build([Variant(name, specs[name], ()) for name in specs])
    assert ours(some) == ours(none) == []
    for table in (some, none):
        figure = draw(table)
        laid_out(figure)
        assert len(figure.axes[0].lines) == 1  # chance
    assert "no run yet" in figure.axes[0].get_title()


def test_axes(table: Table1) -> None:
    left, right = draw(table).axes
    assert left.get_xscale() == right.get_xscale() == "log"
    assert left.get_ylim() == right.get_ylim()
    assert left.get_xlabel() == right.get_xlabel() == "FLOPs of one prediction"
    assert "%" in left.get_ylabel()


@pytest.mark.parametrize("closeness", [1.0, 0.02])
def test_labels_neither_overlap_nor_leave_their_axes(variants: Variants, closeness: float) -> None:
    """Also where all methods are about as good as each other."""
    for records in variants.values():
        for i, one in enumerate(records):
            shrunk = {name: 0.6 + closeness * (share - 0.6) for name, share in one.accuracy.items()}
            records[i] = RunRecord(one.spec, shrunk, one.predictions, one.losses, one.costs, {})
    figure = draw(table1(variants))
    renderer = laid_out(figure).get_renderer()
    for axes in figure.axes:
        frame = axes.get_window_extent(renderer)
        boxes = [t.get_window_extent(renderer) for t in axes.texts if isinstance(t, Annotation)]
        assert len(boxes) >= 3
        for box in boxes:
            assert frame.x0 <= box.x0 < box.x1 <= frame.x1
            assert frame.y0 <= box.y0 < box.y1 <= frame.y1
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)


def test_colors_are_for_everybody() -> None:
    assert set(COLORS.values()) <= set(OKABE_ITO.values())
    # Whoever sees no color tells methods apart by their markers.
    assert len(set(MARKERS.values())) == len(MARKERS) == len(set(COLORS.values()))


def test_files_are_the_same_each_time(table: Table1, tmp_path: Path) -> None:
    first = save(draw(table), tmp_path / "a", TITLE)
    second = save(draw(table), tmp_path / "b", TITLE)
    assert [path.name for path in first] == ["a.svg", "a.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert TITLE in "".join(ElementTree.parse(first[0]).getroot().itertext())
