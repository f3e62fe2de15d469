"""The folder for the leaderboard: what we write is valid, and a bad one is refused with its line."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.raft import submission
from experiments.raft.submission import Expected, check_submission, expected, predictions_csv, write_submission
from tfew_pl.errors import UserError
from tfew_pl.record import RunRecord
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec
from tfew_pl.tasks import RAFT_TASKS
from tfew_pl.tasks.data import load_data

Tfew = Callable[..., Any]


def _write(folder: Path, tasks: Any) -> None:
    for task, known in tasks.items():
        path = folder / "data" / task / "predictions.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["ID", "Label"])
            writer.writerows((number, known.labels[number % len(known.labels)]) for number in known.ids)


@pytest.fixture(scope="module")
def official() -> Any:
    return expected("hub")


@pytest.fixture
def folder(official: Any, tmp_path: Path) -> Path:
    _write(tmp_path, official)
    return tmp_path


def test_the_leaderboards_numbers_of_rows(folder: Path, tfew: Tfew, official: Any) -> None:
    assert {name: len(known.ids) for name, known in official.items()} == {
        name: task.test_rows for name, task in RAFT_TASKS.items()
    }
    assert official["neurips_impact_statement_risks"].ids == range(50, 200)
    result = tfew("raft", "validate", str(folder), "--data", "hub")
    assert (result.code, result.out) == (0, f"{folder}: valid, 11 tasks, 28,712 predictions\n")


def _lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return spoil


def _line(number: int, text: str) -> Callable[[Path], None]:
    return _lines(lambda lines: [*lines[: number - 1], text, *lines[number:]])


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, ": missing"),
    "empty": (lambda path: path.write_text(""), ", line 1: expected the columns ID,Label, found nothing"),
    "columns": (_line(1, "id,label"), ", line 1: expected the columns ID,Label, found id,label"),
    "swapped": (_line(1, "Label,ID"), ", line 1: expected the columns ID,Label, found Label,ID"),
    "label": (_line(17, "65,overulling"), ", line 17: label 'overulling' is none of the task's; did you mean 'overrul"),
    "another label": (_line(3, "51,yes"), ", line 3: label 'yes' is none of the task's; there are not overruling,"),
    "unlabeled": (_line(3, "51,Unlabeled"), ", line 3: label 'Unlabeled' is none of the task's"),
    "index": (_line(9, "57,1"), ", line 9: label '1' is none of the task's"),
    "no label": (_line(9, "57,"), ", line 9: label '' is none of the task's"),
    "cells": (_line(9, "57"), ", line 9: expected an ID and a label, found 1 cells"),
    "blank": (_line(9, ""), ", line 9: expected an ID and a label, found 0 cells"),
    "ID": (_line(5, "x,overruling"), ", line 5: ID 'x' is no whole number"),
    "training ID": (_line(5, "49,overruling"), ", line 5: ID 49 is none of the test set's, 50 to 2399"),
    "large ID": (_line(5, "2400,overruling"), ", line 5: ID 2400 is none of the test set's"),
    "zeros": (_line(5, "0053,overruling"), ", line 5: ID 0053 is none of the test set's"),
    "long ID": (_line(5, f"{'9' * 5000},overruling"), ", line 5: ID 99999999999999999999... is none of the test set's"),
    "mark": (lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()), ", line 1: a byte order mark before"),
    "twice": (_line(5, "50,overruling"), ", line 5: ID 50 is there already, in line 2"),
    "short": (_lines(lambda lines: lines[:-3]), ", line 2348: it ends after 2347 rows, expected 2350; ID 2397 is miss"),
    "quotes": (_line(8, '56,"overruling'), ", line 2351: not valid CSV"),
    "bytes": (lambda path: path.write_bytes(path.read_bytes().replace(b"52,", b"\xff,")), ", line 4: not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILED)
def test_a_bad_file_is_refused_with_the_line(case: str, folder: Path, tfew: Tfew) -> None:
    spoil, message = SPOILED[case]
    path = folder / "data" / "overruling" / "predictions.csv"
    spoil(path)
    result = tfew("raft", "validate", str(folder), "--data", "hub")
    assert (result.code, result.out) == (2, "")
    assert f"tfew: {path}{message}" in result.err
    assert result.err.count("\n") == 1


def test_every_file_is_looked_at(folder: Path, official: Any, tfew: Tfew, tmp_path_factory: Any) -> None:
    _line(2, "50,nothing")(folder / "data" / "overruling" / "predictions.csv")
    (folder / "data" / "banking_77" / "predictions.csv").unlink()
    (folder / "data" / "rte").mkdir()
    (folder / "data" / "rte" / "predictions.csv").write_text("ID,Label\n")
    error = tfew("raft", "validate", str(folder), "--data", "hub").err
    assert error.startswith(f"tfew: {folder}: 3 problems\n")
    for part in ("rte/predictions.csv: no file", "banking_77/predictions.csv: missing", "line 2: label 'nothing'"):
        assert part in error
    empty = tmp_path_factory.mktemp("empty")
    assert f"tfew: {empty}: it has no folder data" in tfew("raft", "validate", str(empty), "--data", "hub").err


def test_predictions_for_other_data_are_told_so(
    folder: Path, record: Callable[..., RunRecord], tmp_path_factory: Any, tfew: Tfew
) -> None:
    assert tfew("raft", "validate", str(folder)).err == (
        f"tfew: {folder}: valid, but for the real test sets: give --data hub\n"
    )
    pocket = tmp_path_factory.mktemp("pocket")
    write_submission(_records(record), pocket)
    assert tfew("raft", "validate", str(pocket), "--data", "hub").err == (
        f"tfew: {pocket}: valid, but for the generated tasks: give --data pocket\n"
    )
    result = tfew("raft", "validate", str(folder), "--data", "moon")
    assert (result.code, result.err.splitlines()[0]) == (
        2,
        "tfew: --data moon: give 'pocket', 'hub' or a folder with the datasets' files",
    )


def _records(record: Callable[..., RunRecord], **fields: Any) -> list[RunRecord]:
    found = []
    for name in RAFT_TASKS:
        rows = load_data(name, "pocket").evaluation
        predicted = [index % RAFT_TASKS[name].choices for index in range(len(rows))]
        table = pd.DataFrame({"template": 0, "example": range(len(rows)), "gold": 0, "predicted": predicted})
        made = record(RunSpec(name, method=ZERO_SHOT, **fields), {"instruction": 0.5})
        found.append(RunRecord(made.spec, made.accuracy, table, made.losses, made.costs, {}))
    return found


def test_what_we_write_is_valid_and_says_what_was_predicted(
    record: Callable[..., RunRecord], tmp_path: Path, tfew: Tfew
) -> None:
    folder = tmp_path / "submission"
    write_submission(_records(record), folder)
    check_submission(folder, expected("pocket"))
    assert tfew("raft", "validate", str(folder), "--data", "pocket").code == 0
    lines = (folder / "data" / "one_stop_english" / "predictions.csv").read_text().splitlines()
    assert lines[:4] == ["ID,Label", "50,the end", "51,the beginning", "52,the middle"]
    assert sorted(path.name for path in folder.iterdir()) == ["data"]
    with pytest.raises(UserError, match="is there already: give another --out"):
        write_submission(_records(record), folder)


def test_labels_are_the_datasets_own(record: Callable[..., RunRecord]) -> None:
    """Banking77's underscores stand for spaces in a prompt, and are back in the file."""
    banking = next(r for r in _records(record) if r.spec.task == "banking_77")
    assert predictions_csv(banking).splitlines()[2] == "51,red_pear"


def test_another_test_set_is_refused_before_anything_is_written(
    record: Callable[..., RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = _records(record)
    known = expected("pocket")
    short = Expected(known["overruling"].ids[:6], known["overruling"].labels)
    monkeypatch.setattr(submission, "expected", lambda data: {**known, "overruling": short})
    with pytest.raises(
        UserError,
        match=r"task overruling: the test set from pocket has 240 rows of IDs 50 to 289, the "
        r"leaderboard's has 6 of 50 to 55",
    ):
        write_submission(records, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_incomplete_submission_is_not_written(record: Callable[..., RunRecord], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"banking_77/predictions\.csv: missing"):
        write_submission([r for r in _records(record) if r.spec.task != "banking_77"], tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())
    part = _records(record, evaluation=Evaluation(examples=5))
    cut = [RunRecord(r.spec, r.accuracy, r.predictions[:5], r.losses, r.costs, {}) for r in part]
    with pytest.raises(UserError, match="measured on 5 examples, not on the 240 of the test"):
        write_submission(cut, tmp_path / "new")
