from pathlib import Path
from typing import Any

import pytest

from experiments.commands import run as run_command
from experiments.devices import thread_environment
from experiments.grid import GridRun
from experiments.job import RunAndSave
from experiments.launchers.local import LocalWorkers
from experiments.runner import do_runs, prepare
from tfew_pl.recipe import Recipe
from tfew_pl.resolve import resolve
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.store import LOGS, RunStore


def test_a_run_gives_the_same_record_alone_and_in_a_worker(tmp_path: Path) -> None:
    spec = resolve(
        RunSpec(
            "cb",
            backbone="pocket-random",
            recipe=Recipe(steps=3, pretrained=False),
            evaluation=Evaluation(examples=4, templates=2),
        )
    )
    alone, worker = RunStore(tmp_path / "alone"), RunStore(tmp_path / "worker")
    run_command._run(spec, alone.folder, {"accelerator": "cpu"}, threads=None)
    prepare(worker)
    # After another run, so that it is seen that none is left of that.
    other = resolve(RunSpec("cb", backbone="pocket-random", method="zero-shot", evaluation=Evaluation(4, 2)))
    environment = {**thread_environment(1), "CUDA_VISIBLE_DEVICES": ""}
    launcher = LocalWorkers(RunAndSave(worker.folder), [environment], worker.folder / LOGS)
    runs = [GridRun("other", other), GridRun("A", spec)]
    summary = do_runs([(run,) for run in runs], worker, launcher, lambda event: None)
    assert summary.failures == ()
    for name in ("adaptation.safetensors", "predictions.parquet", "losses.parquet"):
        assert (alone.path(spec) / name).read_bytes() == (worker.path(spec) / name).read_bytes(), name
    assert alone.load(spec).accuracy == worker.load(spec).accuracy


def test_what_can_be_compiled_is_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def run_group(_: Any, *, trainer: dict[str, Any], **__: Any) -> list[Any]:
        given.append([type(callback).__name__ for callback in trainer.get("callbacks", ())])
        return []

    monkeypatch.setattr("tfew_pl.run.run_group", run_group)
    monkeypatch.setattr("tfew_pl.compiled.has_compiler", lambda: True)
    for compiled, method in ((True, "ia3"), (False, "ia3"), (True, "full"), (True, "zero-shot")):
        RunAndSave(tmp_path, trainer={"accelerator": "cpu"}, compiled=compiled)([RunSpec("cb", method=method)], print)
    assert given == [["CompiledStacks"], [], ["CompiledStacks"], []]
