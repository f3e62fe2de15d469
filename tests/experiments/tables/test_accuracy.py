"""Tables 3 to 10 from synthetic records of their own grids."""

import json
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from experiments import published
from experiments.grid import find_grid, load_grid
from experiments.tables.accuracy import AccuracyTable
from experiments.tables.accuracy_document import document
from experiments.tables.block import markdown
from experiments.tables.catalog import TABLES
from experiments.tables.variants import Variant
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.tasks.heldout import TASKS

RecordMaker = Callable[..., RunRecord]
NUMBERS = [number for number in TABLES if 3 <= number <= 10]
COMMAND = "tfew grid it"


FEW = ("copa", "cb")
EVERY = tuple(task.name for task in TASKS)


@cache
def specs(number: int, tasks: tuple[str, ...] = FEW) -> dict[str, list[RunSpec]]:
    """Those of the table's grid on some tasks."""
    variants = load_grid(find_grid(TABLES[number].grid), resolved=lambda spec: spec).variants()
    return {name: [spec for spec in asked if spec.task in tasks] for name, asked in variants.items()}


def found(record: RecordMaker, name: str, spec: RunSpec) -> RunRecord:
    """A run with 20 examples through two templates, more of them right the further back the method in the alphabet."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {spec.task} {spec.seed}".encode()))
    right = rng.random((2, 20)) < 0.3 + 0.5 * (ord(name[-2].lower()) % 26) / 26
    rows = [(t, e, 1, int(right[t, e])) for t in range(2) for e in range(20)]
    blank = record(spec, {f"template {t}": float(right[t].mean()) for t in range(2)}, trained_parameters=len(name))
    predictions = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
    return RunRecord(spec, blank.accuracy, predictions, blank.losses, blank.costs, {})


def variants(record: RecordMaker, number: int, tasks: tuple[str, ...] = FEW) -> list[Variant]:
    return [
        Variant.finished(name, [found(record, name, spec) for spec in asked])
        for name, asked in specs(number, tasks).items()
    ]


def build(number: int, variants: list[Variant]) -> AccuracyTable:
    table = TABLES[number].build(variants)
    assert isinstance(table, AccuracyTable)
    return table


@cache
def finished(record: RecordMaker, number: int, tasks: tuple[str, ...] = FEW) -> AccuracyTable:
    """The table without a missing run."""
    return build(number, variants(record, number, tasks))


@pytest.mark.parametrize("number", NUMBERS)
def test_every_row_of_the_paper_stands_beside_ours(record: RecordMaker, number: int) -> None:
    """All but GPT-3's, which are the paper's alone, under the names that grids and files share."""
    table = finished(record, number)
    alone = [row.name for row in table.rows if row.ours is None]
    assert alone == (["GPT-3 175B", "GPT-3 13B", "GPT-3 6.7B"] if number == 9 else [])
    paired = [row for row in table.rows if row.ours and row.paper]
    assert len(paired) == len(published.accuracies(number)) - len(alone)
    assert table.layout.reference in [row.name for row in paired]
    json.dumps(table.values() + table.task_values(), allow_nan=False)


@pytest.mark.parametrize("number", NUMBERS)
def test_values_against_a_loop(record: RecordMaker, number: int) -> None:
    made = variants(record, number)
    table = finished(record, number)
    medians = {
        variant.name: [
            np.median([100 * v for r in variant.records if r.spec.task == task for v in r.accuracy.values()])
            for task in FEW
        ]
        for variant in made
    }
    for row in table.values():
        if row["source"] == "measured":
            assert row["accuracy"] == pytest.approx(np.mean(medians[row["method"]]))
            if row["method"] != table.layout.reference and number != 9:  # its rows differ in what they are measured on
                reference = np.mean(medians[table.layout.reference])
                assert row["difference"] == pytest.approx(row["accuracy"] - reference)
                assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        else:
            assert (row["accuracy"], row["difference"], row["runs"]) == (None, None, None)


def test_the_papers_side(record: RecordMaker) -> None:
    table = finished(record, 8, EVERY)
    row = table.values()[1]
    # The printed medians of (IA)3 with pre-training and without.
    with_it = [89.0, 51.2, 95.1, 62.6, 70.2, 57.2, 80.9, 87.5, 49.3, 41.1, 39.8]
    without = [87.0, 49.4, 94.7, 59.8, 68.3, 56.0, 78.0, 87.5, 48.6, 40.8, 40.8]
    assert row["paper_accuracy"] == pytest.approx(np.mean(with_it))
    assert row["paper_difference"] == pytest.approx(np.mean(with_it) - np.mean(without))
    tasks = {t["task"]: t for t in table.task_values() if t["method"] == "(IA)3 + PT"}
    assert (tasks["anli_r3"]["paper_accuracy"], tasks["anli_r3"]["paper_accuracy_iqr"]) == (39.8, 4.8)
    assert (tasks["cb"]["runs"], tasks["cb"]["templates"], tasks["cb"]["examples"]) == (5, 2, 20)


def test_counts_of_parameters(record: RecordMaker) -> None:
    table = finished(record, 4)
    counts = {row["method"]: (row["trained_parameters"], row["paper_trained_parameters"]) for row in table.values()}
    assert counts["Adapter"] == (len("Adapter"), 12.9e6)
    shown = {row[0]: row for row in document(table, COMMAND).blocks[0].rows}
    assert [shown[name][1:3] for name in ("Adapter", "(IA)3")] == [("7", "12.9M"), ("5", "540K")]
    assert "paper_trained_parameters" not in finished(record, 8, EVERY).values()[0]


def test_what_is_trained_and_not_kept_is_said(record: RecordMaker) -> None:
    def notes(stored_bytes: int, number: int = 4) -> list[str]:
        def make(spec: RunSpec, values: dict[str, float], **costs: float) -> RunRecord:
            return record(spec, values, **{**costs, "stored_bytes": stored_bytes})

        shown = document(finished(make, number), COMMAND).notes
        return [note for note in shown if "keeps" in note]

    assert notes(20)[0] == "Full fine-tuning trains 16 parameters and keeps 5; the paper counts what is kept."
    assert notes(8 * 40) == []
    assert notes(4, 8) == []


def test_document(record: RecordMaker) -> None:
    summary, first, second = document(finished(record, 8, EVERY), COMMAND).blocks
    assert summary.rows[0][3:] == ("-", "-", "-")  # nothing to compare it with
    assert dict(zip(summary.header, summary.rows[1], strict=True))["paper's\ndifference"] == "+1.2"
    assert len(set(summary.header)) == len(summary.header)
    assert [row[0] for row in first.rows] == ["(IA)3", "  paper", "(IA)3 + PT", "  paper", "chance"]
    assert first.rows[1][1:3] == ("87.0 (3.0)", "49.4 (4.6)")
    assert first.header + second.header[1:] == ("method", *(task.title for task in TASKS))
    assert first.rows[-1][:3] == ("chance", "50.0", "25.0")


def test_numbers_under_wrong_datasets_are_said(record: RecordMaker) -> None:
    for number in (4, 5, 6, 7):
        shown = document(finished(record, number), COMMAND).notes
        assert any("tfew audit" in note for note in shown) == (number in (5, 6))


def test_rows_that_are_the_papers_alone_are_marked(record: RecordMaker) -> None:
    table = finished(record, 9)
    summary, datasets = document(table, COMMAND).blocks
    assert summary.rows[-1][0] == "GPT-3 6.7B †"
    assert datasets.rows[-2] == ("GPT-3 6.7B †", "83.0", "60.7")
    assert any("As published, not run here" in note for note in document(table, COMMAND).notes)


def test_missing_runs(record: RecordMaker) -> None:
    asked = specs(3)
    made = {variant.name: list(variant.records) for variant in variants(record, 3)}
    made["+ UL"] = [r for r in made["+ UL"] if (r.spec.task, r.spec.seed) != ("copa", 0)]
    made["+ LN"] = []
    table = build(3, [Variant(name, tuple(asked[name]), tuple(made[name])) for name in asked])
    rows = {row["method"]: row for row in table.values()}
    assert [rows[name]["missing_runs"] for name in asked] == [0, 1, 10, 0]
    assert [rows[name]["difference"] is None for name in asked] == [True, True, True, False]
    shown = document(table, COMMAND)
    summary = {row[0]: row for row in shown.blocks[0].rows}
    assert summary["+ UL"][1] == summary["+ LN"][1] == summary["+ UL"][3] == "missing"
    cells = {row[0]: row for row in shown.blocks[1].rows}
    assert cells["+ UL"][1].endswith("*")
    assert not cells["+ UL"][2].endswith("*")
    assert set(cells["+ LN"][1:]) == {"missing"}
    assert any(note.startswith("11 of 40 runs are missing") and note.endswith(COMMAND) for note in shown.notes)


def test_without_a_reference_there_is_no_difference(record: RecordMaker) -> None:
    made = [variant for variant in variants(record, 10) if variant.name != "T-Few"]
    table = build(10, made)
    assert {row["difference"] for row in table.values()} == {None}
    assert not any("Difference" in note for note in document(table, COMMAND).notes)


def test_same_records_same_text(record: RecordMaker) -> None:
    first, second = (markdown(document(build(10, variants(record, 10)), COMMAND)) for _ in range(2))
    assert first == second
