"""Table 1 as people read it."""

from collections.abc import Callable

from rich.console import Console

from experiments.tables.block import markdown, text
from experiments.tables.table1 import table1
from experiments.tables.table1_document import document
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec

Variants = dict[str, list[RunRecord]]


def test_blocks(variants: Variants) -> None:
    table = table1(variants)
    summary, costs, tasks = document(table).blocks
    assert [row[0] for row in summary.rows] == [
        "T-Few",
        "Zero-shot",
        "In-context learning",
        "GPT-3 6.7B †",
        "GPT-3 13B †",
        "GPT-3 175B †",
    ]
    ours = table.rows[0].values()
    assert summary.rows[0][1:4] == (
        "1.6M",
        f"{ours['accuracy']:.1f} ({ours['accuracy_iqr']:.1f})",
        "72.4",
    )
    assert summary.rows[3][1:5] == ("6.7B", "-", "57.2", "5.5e13")
    # The recomputed figure stands beside the printed one, which leaves the query out.
    assert costs.rows[3][1:3] == ("-", "5.4e13")
    assert costs.rows[0][1:] == ("1.9e8", "1.1e12", "4.1e12", "2.7e16", "13 kB", "4.2 MB")
    assert [row[0] for row in tasks.rows[:2]] == ["COPA", "H-SWAG"]
    assert tasks.rows[0][3] == "93.0"
    assert tasks.rows[1][7] == "60.95"  # as printed
    assert tasks.rows[-1][0] == "mean"
    assert tasks.rows[-1][3::2] == ("72.4", "62.5", "49.8")
    assert tasks.rows[-1][1] == "41.7"  # (6 × 50 + 25 + 4 × 33.3) / 11


def test_notes_say_what_was_measured_on_what(variants: Variants) -> None:
    notes = "\n".join(document(table1(variants)).notes)
    assert "T-Few (pocket-t0): 5 few-shot splits × 5 templates × 200 examples a task;" in notes
    assert "Zero-shot (pocket-t0): no few-shot split × 5 templates × 200 examples a task;" in notes
    assert (
        "In-context learning (pocket-lm): 5 few-shot splits × 3 templates × 32 examples a task (only the first "
        "3 templates and the first 32 evaluation examples, for its cost)." in notes
    )
    assert "generated tasks" in notes
    assert "As published, not run here" in notes
    assert "66.9 for T0 in Table 1; its numbers by task, in Table 9, have a mean of 62.5" in notes
    assert "T-Few in Table 1" not in notes


def test_notes_say_nothing_that_is_not_so(record: Callable[..., RunRecord]) -> None:
    runs = [record(RunSpec(task=task, data="hub"), {"a": 0.5, "b": 0.6}) for task in ("rte", "cb")]
    notes = "\n".join(document(table1({"T-Few": runs})).notes)
    assert "generated" not in notes
    assert "for its cost" not in notes
    assert "ensemble" not in notes
    assert "over 2 tasks" in notes
    assert "1 few-shot split × 2 templates" in notes


def test_tasks_that_were_not_run_are_dashes(record: Callable[..., RunRecord]) -> None:
    tasks = document(table1({"T-Few": [record(RunSpec(task="rte"), {"a": 0.5})]})).blocks[2]
    by_title = {row[0]: row for row in tasks.rows}
    assert by_title["RTE"][2] == "50.0 (0.0)"
    assert by_title["COPA"][2] == "-"


def test_same_records_same_text(variants: Variants) -> None:
    shuffled = {name: records[::-1] for name, records in variants.items()}
    assert markdown(document(table1(shuffled))) == markdown(document(table1(variants)))


def test_it_fits_a_terminal_of_80_columns(variants: Variants) -> None:
    """With the widest figures that there can be."""
    for records in variants.values():
        for one in records:
            one.accuracy.update(zip(one.accuracy, (0.1, 1.0, 0.2, 0.99, 0.98), strict=False))  # type: ignore[attr-defined]
    table = document(table1(variants))
    narrow, wide = (text(table, Console(width=width, color_system=None)) for width in (80, 500))
    blocks = [shown.split("\n- ")[0] for shown in (narrow, wide)]
    assert blocks[0] == blocks[1]
