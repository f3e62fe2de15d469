import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors import safe_open

from tfew_pl import resume as module
from tfew_pl import run as run_module
from tfew_pl.recipe import Recipe
from tfew_pl.record import RunRecord
from tfew_pl.resolve import resolve
from tfew_pl.resume import Checkpoint, runs_of
from tfew_pl.run import run_group
from tfew_pl.spec import Evaluation, RunSpec

STEPS, EVERY = 12, 4
CPU = {"accelerator": "cpu"}


class Killed(BaseException):
    """Stands for kill -9: nothing in between reacts to it."""


def make(backbone: Path, method: str = "ia3", seed: int = 0, **recipe: Any) -> RunSpec:
    return resolve(
        RunSpec(
            "rte",
            backbone=str(backbone),
            method=method,
            seed=seed,
            recipe=Recipe(steps=STEPS, pretrained=False, **recipe),
            evaluation=Evaluation(examples=4, templates=2),
            shots=6,
        )
    )


def killed_in(specs: Sequence[RunSpec], folder: Path, stage: str, share: float, trainer: Any = CPU) -> None:
    """Runs them until a share of a stage is done."""

    def progress(reached: str, fraction: float) -> None:
        if reached == stage and fraction >= share:
            raise Killed

    with pytest.raises(Killed):
        run_group(specs, progress=progress, trainer=trainer, checkpoint=Checkpoint(folder, specs, EVERY))


def assert_same(undisturbed: Sequence[RunRecord], resumed: Sequence[RunRecord]) -> None:
    """Bit for bit, all but how long it took."""
    for one, other in zip(undisturbed, resumed, strict=True):
        assert (one.spec, one.accuracy, one.adaptation) == (other.spec, other.accuracy, other.adaptation)
        pd.testing.assert_frame_equal(one.losses, other.losses, check_exact=True)
        pd.testing.assert_frame_equal(one.predictions, other.predictions, check_exact=True)
        timings = {"training_seconds": 0.0, "evaluation_seconds": 0.0, "peak_memory_bytes": 0}
        assert dataclasses.replace(one.costs, **timings) == dataclasses.replace(other.costs, **timings)


@pytest.mark.parametrize(
    ("method", "recipe", "share"),
    [
        ("ia3", {}, 0.3),  # before anything was kept
        ("ia3", {"dropout": "checkpoint"}, 0.45),  # random numbers at every step
        ("lora", {"warmup_ratio": 0.5, "drop_last": True}, 0.8),
        ("full", {"learning_rate": 1e-3}, 0.8),
        ("fish-mask-0.2", {}, 0.8),
    ],
)
def test_a_killed_training_ends_with_the_numbers_it_would_have_had(
    backbone_folder: Path, tmp_path: Path, method: str, recipe: dict[str, Any], share: float
) -> None:
    specs = [make(backbone_folder, method, **recipe)]
    undisturbed = run_group(specs, trainer=CPU)
    killed_in(specs, tmp_path, "training", share)
    checkpoint = Checkpoint(tmp_path, specs, EVERY)
    # The state is that of the last multiple of EVERY before the step that was killed.
    assert checkpoint.step == (-(-share * STEPS // 1) - 1) // EVERY * EVERY
    seen: list[float] = []
    resumed = run_group(
        specs,
        trainer=CPU,
        checkpoint=checkpoint,
        progress=lambda stage, fraction: seen.append(fraction) if stage == "training" else None,
    )
    assert len(seen) == STEPS - checkpoint.step, "what was done is not done again"
    assert_same(undisturbed, resumed)


def test_runs_that_are_trained_together_are_taken_up_together(backbone_folder: Path, tmp_path: Path) -> None:
    specs = [make(backbone_folder, seed=seed) for seed in (0, 1, 2)]
    undisturbed = run_group(specs, trainer=CPU)
    killed_in(specs, tmp_path, "training", 0.8)
    checkpoint = Checkpoint(tmp_path, specs, EVERY)
    assert checkpoint.step == 8
    assert_same(undisturbed, run_group(specs, trainer=CPU, checkpoint=checkpoint))


def test_a_killed_evaluation_does_not_train_again(backbone_folder: Path, tmp_path: Path) -> None:
    specs = [make(backbone_folder)]
    undisturbed = run_group(specs, trainer=CPU)
    killed_in(specs, tmp_path, "evaluation", 0.0)
    checkpoint = Checkpoint(tmp_path, specs, EVERY)
    assert checkpoint.step == STEPS
    assert checkpoint.seconds > 0
    seen: list[str] = []
    resumed = run_group(specs, trainer=CPU, checkpoint=checkpoint, progress=lambda stage, _: seen.append(stage))
    assert "training" not in seen
    assert_same(undisturbed, resumed)


def test_accumulated_batches_are_whole(backbone_folder: Path, tmp_path: Path) -> None:
    specs = [make(backbone_folder)]
    flags = {**CPU, "accumulate_grad_batches": 4}
    undisturbed = run_group(specs, trainer=flags)
    killed_in(specs, tmp_path, "training", 0.8, flags)
    checkpoint = Checkpoint(tmp_path, specs, EVERY)
    assert checkpoint.step == 8
    assert_same(undisturbed, run_group(specs, trainer=flags, checkpoint=checkpoint))


def test_the_file_is_json_and_tensors_and_says_whose_it_is(backbone_folder: Path, tmp_path: Path) -> None:
    specs = [make(backbone_folder)]
    killed_in(specs, tmp_path, "training", 0.5)
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".safetensors"
    assert runs_of(path) == [specs[0].digest]
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["tfew_pl"])["step"] == 4
    Checkpoint(tmp_path, specs, EVERY).forget()
    assert list(tmp_path.iterdir()) == []
    assert runs_of(path) == []


def test_what_is_not_of_this_training_is_not_taken_up(backbone_folder: Path, tmp_path: Path) -> None:
    specs = [make(backbone_folder)]
    killed_in(specs, tmp_path, "training", 0.5)
    (path,) = tmp_path.iterdir()
    assert Checkpoint(tmp_path, specs, EVERY).step == 4
    assert Checkpoint(tmp_path, [make(backbone_folder, seed=1)], EVERY).step == 0
    assert Checkpoint(tmp_path, [*specs, make(backbone_folder, seed=1)], EVERY).step == 0
    for damage in (path.read_bytes()[:-10], b"", b"nothing"):
        path.write_bytes(damage)
        assert Checkpoint(tmp_path, specs, EVERY).step == 0


@pytest.mark.parametrize("other", ["", "threads", "compiled", "device"])
def test_what_was_kept_in_other_circumstances_is_not_taken_up(
    backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Its last digits are others, of which the record would not say."""
    specs = [make(backbone_folder)]
    killed_in(specs, tmp_path, "training", 0.5)
    changed: dict[str, Callable[[], None]] = {
        "threads": lambda: monkeypatch.setattr(torch, "get_num_threads", lambda: 64),
        "compiled": lambda: monkeypatch.setattr(run_module, "_is_compiled", lambda trainer: True),
        "device": lambda: monkeypatch.setattr("tfew_pl.environment.platform.machine", lambda: "another"),
    }
    checkpoint = Checkpoint(tmp_path, specs, EVERY)
    assert checkpoint.step == 4
    if other:
        changed[other]()
    run_group(specs, trainer=CPU, checkpoint=checkpoint)
    assert checkpoint.step == (0 if other else 4)  # where it began


def test_a_full_disk_is_not_silent_and_leaves_the_state_before(
    backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [make(backbone_folder)]
    killed_in(specs, tmp_path, "training", 0.5)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        run_group(specs, trainer=CPU, checkpoint=Checkpoint(tmp_path, specs, EVERY))
    assert len(list(tmp_path.iterdir())) == 1
    assert Checkpoint(tmp_path, specs, EVERY).step == 4


def test_what_was_half_written_when_its_writer_was_killed_goes_too(
    backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs, others = [make(backbone_folder)], [make(backbone_folder, seed=1)]

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", killed)
        patch.setattr(module.Path, "unlink", lambda *_, **__: None)  # of somebody killed by SIGKILL
        for group in (specs, others):
            with pytest.raises(Killed):
                run_group(group, trainer=CPU, checkpoint=Checkpoint(tmp_path, group, EVERY))
    assert len(list(tmp_path.iterdir())) == 2
    Checkpoint(tmp_path, specs, EVERY).forget()
    (left,) = tmp_path.iterdir()
    Checkpoint(tmp_path, others, EVERY).forget()
    assert not left.exists()


def test_nothing_of_a_backbone_is_kept(backbone_folder: Path, tmp_path: Path) -> None:
    specs = [make(backbone_folder)]
    killed_in(specs, tmp_path, "training", 0.5)
    (path,) = tmp_path.iterdir()
    with safe_open(path, framework="pt") as file:
        kept = sum(file.get_tensor(name).numel() for name in file.keys() if name.startswith("parameter."))  # noqa: SIM118
    assert 0 < kept < 2000
    assert torch.get_num_threads() == 1
