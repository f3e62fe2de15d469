"""Tables 2 and 11 from synthetic predictions."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest

from experiments import published
from experiments.tables.raft import RaftTable, raft_table, table2, table11
from experiments.tables.variants import Variant
from tfew_pl.record import RunRecord
from tfew_pl.spec import ZERO_SHOT, RunSpec
from tfew_pl.tasks import RAFT_TASKS

RecordMaker = Callable[..., RunRecord]
COMMAND = "tfew grid table2"


def answers(record: RecordMaker, spec: RunSpec, gold: Sequence[int], predicted: Sequence[int]) -> RunRecord:
    blank = record(spec, {"instruction": 0.5})
    predictions = pd.DataFrame({"template": 0, "example": range(len(gold)), "gold": gold, "predicted": predicted})
    return RunRecord(spec, blank.accuracy, predictions, blank.losses, blank.costs, {})


def variants(record: RecordMaker) -> list[Variant]:
    """T-Few is right on everything, but for one example of Banking77; zero-shot says 0 to everything."""
    tfew, zero = [], []
    for name in RAFT_TASKS:
        gold = [0, 0, 0, 1]
        tfew.append(answers(record, RunSpec(name), gold, [0, 0, 1, 1] if name == "banking_77" else gold))
        zero.append(answers(record, RunSpec(name, method=ZERO_SHOT), gold, [0] * 4))
    return [Variant.finished("T-Few", tfew), Variant.finished("Zero-shot", zero)]


def test_scores_are_macro_f1_by_hand(record: RecordMaker) -> None:
    table = raft_table(variants(record))
    tfew, zero = table.rows[:2]
    # Banking77: class 0 is hit 2 times, 3 times correct and 2 times predicted: 4/5. Class 1: 2 x 1 of 1 + 2: 2/3.
    assert tfew.scores["banking_77"].median == pytest.approx(100 * (4 / 5 + 2 / 3) / 2)
    assert tfew.scores["overruling"].median == 100
    # Class 0: 2 x 3 of 3 + 4, class 1: nothing of 1.
    assert zero.scores["overruling"].median == pytest.approx(100 * (6 / 7) / 2)
    assert tfew.mean == pytest.approx((10 * 100 + 100 * (4 / 5 + 2 / 3) / 2) / 11)


def test_one_run_of_a_dataset_has_no_range(record: RecordMaker) -> None:
    tfew, zero = variants(record)
    again = answers(record, RunSpec("overruling", seed=1), [0, 0, 0, 1], [0] * 4)
    table = raft_table([Variant.finished("T-Few", [*tfew.records, again]), zero])
    ranges = {row["task"]: row["score_iqr"] for row in table.task_values() if row["method"] == "T-Few"}
    # Of 100 and 100 * 3/7 the quartiles stand a quarter inwards.
    assert ranges.pop("overruling") == pytest.approx(100 * 4 / 7 / 2)
    assert set(ranges.values()) == {None}


def test_the_papers_rows(record: RecordMaker) -> None:
    rows = raft_table(variants(record)).values()
    assert [row["method"] for row in rows] == ["T-Few", "Zero-shot", "Human baseline", "PET", "SetFit", "GPT-3"]
    assert [row["paper_score"] for row in rows] == [75.8, None, 73.5, 69.6, 66.9, 62.7]
    assert [row["score"] is None for row in rows] == [False, False, True, True, True, True]
    tasks = raft_table(variants(record)).task_values()
    assert {(t["task"], t["paper_score"]) for t in tasks if t["method"] == "PET"} == set(
        published.raft_datasets()["PET"].items()
    )


def test_table2(record: RecordMaker) -> None:
    (block,) = table2(raft_table(variants(record)), COMMAND).blocks
    assert block.rows[0][0::2] == ("T-Few", "75.8")
    assert block.rows[1][2] == "-"
    assert block.rows[2] == ("Human baseline †", "-", "73.5")


def test_what_is_said_of_setfits_encoder_is_said_of_the_one_that_was_used(record: RecordMaker) -> None:
    def note(**fields: Any) -> str:
        specs = [RunSpec(name, method="setfit", **fields) for name in RAFT_TASKS]
        runs = [answers(record, spec, [0, 0, 0, 1], [0] * 4) for spec in specs]
        table = raft_table([Variant.finished("SetFit", runs)])
        (said,) = (note for note in table2(table, COMMAND).notes if note.startswith("SetFit"))
        return said.partition("classes.")[2]

    size = "has 23 million parameters, that of the published row 110 million."
    assert note(backbone="all-minilm-l6-v2") == f" Its encoder knows real English, not the pocket world; it {size}"
    assert note(backbone="all-minilm-l6-v2", data="hub") == f" Its encoder {size}"
    assert note(backbone="another", data="hub") == ""


def test_table11(record: RecordMaker) -> None:
    (block,) = table11(raft_table(variants(record)), COMMAND).blocks
    assert block.header[:4] == ("dataset", "T-Few", "paper\nT-Few", "Zero-shot")
    assert [row[0] for row in block.rows] == [*RAFT_TASKS, "mean"]
    first = block.rows[0]
    assert first[:3] == ("ade_corpus_v2", "100.0", "80.4")
    assert block.rows[-1][2] == "75.8"


def test_missing_and_unlabeled(record: RecordMaker) -> None:
    tfew, zero = variants(record)
    hidden = tuple(answers(record, r.spec, [-1] * 4, [0] * 4) for r in zero.records)
    table = raft_table([Variant("T-Few", tfew.specs, tfew.records[1:]), Variant("Zero-shot", zero.specs, hidden)])
    shown = table11(table, COMMAND)
    assert shown.blocks[0].rows[0][1] == shown.blocks[0].rows[-1][1] == "missing"
    assert {row[3] for row in shown.blocks[0].rows} == {"no labels"}
    assert "1 of 22 runs are missing. The command that makes them: tfew grid table2" in shown.notes
    assert [row["score"] for row in table.values()[:2]] == [None, None]


def test_several_runs_of_a_dataset(record: RecordMaker) -> None:
    """Their median and IQR; while one of them is missing, so is the score."""
    specs = tuple(RunSpec("overruling", seed=seed) for seed in (0, 1, 2))
    found = tuple(answers(record, spec, [0, 1], [0, 1] if spec.seed else [1, 0]) for spec in specs)
    whole = RaftTable((raft_table([Variant("Own", specs, found)]).rows[0],))
    assert whole.rows[0].cell("overruling") == "100.0 (50.0)"
    assert whole.rows[0].cell("banking_77") == "-"
    part = raft_table([Variant("Own", specs, found[1:])]).rows[0]
    assert (part.cell("overruling"), part.mean) == ("missing", None)
