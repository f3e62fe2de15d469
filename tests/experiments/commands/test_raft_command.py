"""`tfew raft`: from runs to the folder that is handed in."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.launchers.choose import How
from experiments.raft.runs import raft_specs
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore
from tfew_pl.tasks import RAFT_TASKS
from tfew_pl.tasks.data import load_data

Tfew = Callable[..., Any]


@pytest.fixture
def save(record: Callable[..., RunRecord], tmp_path: Path) -> Callable[[Sequence[RunSpec]], Path]:
    """Leaves records of right predictions in a store."""

    def run(specs: Sequence[RunSpec]) -> Path:
        for spec in specs:
            rows = load_data(spec.task, spec.data).evaluation
            gold = [row["Label"] - 1 for row in rows]
            table = pd.DataFrame({"template": 0, "example": range(len(rows)), "gold": gold, "predicted": gold})
            made = record(spec, {"instruction": 1.0})
            RunStore(tmp_path / "store").save(RunRecord(spec, made.accuracy, table, made.losses, made.costs, {}))
        return tmp_path / "store"

    return run


def test_results_submit_validate(save: Any, tfew: Tfew, tmp_path: Path) -> None:
    store = save(raft_specs([], {"method": "zero-shot"}))
    options = ("--method", "zero-shot", "--store", str(store))
    rows = json.loads(tfew("raft", "results", *options, "--json").out)
    assert [row["task"] for row in rows] == [*RAFT_TASKS, "average"]
    assert all((row["accuracy"], row["macro_f1"]) == (100, 100) for row in rows)
    assert rows[-1]["examples"] == 11 * 240
    shown = tfew("raft", "results", *options, "--task", "overruling").out.splitlines()
    assert shown[-1].split() == ["overruling", "240", "100.0", "100.0"]
    out = tmp_path / "submission"
    result = tfew("raft", "submit", *options, "--out", str(out))
    assert (result.code, result.out) == (0, f"{out}\n")
    assert tfew("raft", "validate", str(out)).out == f"{out}: valid, 11 tasks, 2,640 predictions\n"
    refused = tfew("raft", "validate", str(out), "--data", "hub").err
    assert refused == f"tfew: {out}: valid, but for the generated tasks: give --data pocket\n"


def test_runs_that_are_missing_are_named(save: Any, tfew: Tfew, tmp_path: Path) -> None:
    store = save(raft_specs(["overruling"], {"method": "zero-shot"}))
    result = tfew("raft", "submit", "--method", "zero-shot", "--store", str(store), "--out", str(tmp_path / "out"))
    assert result.code == 2
    assert "10 of 11 runs are missing" in result.err
    assert "make them with `tfew raft run` and the same options" in result.err
    assert not (tmp_path / "out").exists()


def test_run_does_what_is_missing_and_shows_what_was_found(
    save: Any, tfew: Tfew, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def run_grid(grid: Any, records: RunStore, how: How) -> None:
        asked.append((grid, records.folder, how.workers))
        save([run.spec for run in grid.runs])

    monkeypatch.setattr("experiments.commands.grid.run_grid", run_grid)
    arguments = ("--task", "overruling", "--variant", "release", "--seed", "3", "--steps", "9", "--workers", "1")
    result = tfew("raft", "run", *arguments, "--store", str(tmp_path / "store"))
    assert result.code == 0, result.err
    ((grid, folder, workers),) = asked
    (run,) = grid.runs
    assert (folder, workers) == (tmp_path / "store", 1)
    assert (run.spec.task, run.spec.seed, run.spec.recipe.steps) == ("overruling", 3, 9)
    assert run.spec.task_options == {"variant": "release"}
    assert result.out.splitlines()[-1].split() == ["overruling", "240", "100.0", "100.0"]


def test_another_backbone_starts_from_its_own_vectors_or_from_scratch(
    save: Any, tfew: Tfew, tmp_path: Path, backbone_folder: Path
) -> None:
    options = ("--task", "overruling", "--backbone", str(backbone_folder))
    refused = tfew("raft", "results", *options)
    assert refused.code == 2
    assert "no pre-trained ia3 vectors are known for backbone" in refused.err
    fields = {"backbone": str(backbone_folder), "without": ["pretraining"], "precision": "bf16"}
    store = save(raft_specs(["overruling"], fields))
    flags = ("--without", "pretraining", "--precision", "bf16", "--store", str(store))
    assert tfew("raft", "results", *options, *flags).code == 0
    missing = tfew("raft", "results", *options, "--initial", str(tmp_path / "no.safetensors"))
    assert missing.code == 2
    assert "no.safetensors" in missing.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "overuling"), "unknown RAFT task 'overuling': did you mean overruling?"),
        (("--data", "moon"), "--data moon: give"),
        (("--method", "ia4"), "unknown method 'ia4': did you mean ia3?"),
        (("--settings", "none.jsonl"), "the official prompt settings are not for the pocket data"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], message: str, tfew: Tfew) -> None:
    result = tfew("raft", "results", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
