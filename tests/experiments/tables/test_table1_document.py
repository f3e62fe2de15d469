"""Table 1 as people read it."""

from collections.abc import Callable

from rich.console import Console

from experiments.tables.block import Document, markdown, text
from experiments.tables.table1 import Table1
from experiments.tables.table1 import table1 as build
from experiments.tables.table1_document import document as for_people
from experiments.tables.variants import Variant
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec

Variants = dict[str, list[RunRecord]]
COMMAND = "tfew grid table1"


def table1(variants: Variants) -> Table1:
    return build([Variant.finished(*variant) for variant in variants.items()])


def document(table: Table1) -> Document:
    return for_people(table, COMMAND)


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
    specs = {name: tuple(record.spec for record in records) for name, records in variants.items()}
    shuffled = build([Variant(name, specs[name], tuple(records[::-1])) for name, records in variants.items()])
    assert markdown(document(shuffled)) == markdown(document(table1(variants)))


def test_missing_runs_are_seen_and_can_be_made(variants: Variants) -> None:
    """A task without any run, a task with some; and a variant without any."""
    specs = {name: tuple(record.spec for record in records) for name, records in variants.items()}
    kept = {name: tuple(records) for name, records in variants.items()}
    kept["T-Few"] = tuple(r for r in kept["T-Few"] if r.spec.task != "copa" and (r.spec.task, r.spec.seed) != ("cb", 0))
    kept["Zero-shot"] = ()
    shown = document(build([Variant(name, specs[name], kept[name]) for name in specs]))
    summary, _, tasks = shown.blocks
    assert [row[2] for row in summary.rows[:2]] == ["missing", "missing"]  # no mean over other tasks
    by_title = {row[0]: row for row in tasks.rows}
    assert by_title["COPA"][2] == "missing"
    assert by_title["CB"][2].endswith(")*")
    assert by_title["RTE"][2].endswith(")")
    assert {row[4] for row in tasks.rows} == {"missing"}
    assert by_title["RTE"][6].endswith(")")
    assert (
        "17 of 121 runs are missing; * marks medians over those that are there. "
        "The command that makes them: tfew grid table1"
    ) in shown.notes
    assert not any("missing" in note for note in document(table1(variants)).notes)


def test_it_fits_a_terminal_of_80_columns(variants: Variants) -> None:
    """With the widest figures that there can be."""
    for records in variants.values():
        for one in records:
            one.accuracy.update(zip(one.accuracy, (0.1, 1.0, 0.2, 0.99, 0.98), strict=False))  # type: ignore[attr-defined]
    table = document(table1(variants))
    narrow, wide = (text(Console(width=width, color_system=None), table) for width in (80, 500))
    blocks = [shown.split("\n- ")[0] for shown in (narrow, wide)]
    assert blocks[0] == blocks[1]
