"""What a Trainer takes from the recipe, and that a user's flags win."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from tfew_pl.errors import UserError
from tfew_pl.progress import ReportProgress
from tfew_pl.quiet import quiet_lightning
from tfew_pl.recipe import Recipe
from tfew_pl.registry import registered_methods
from tfew_pl.run import run
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.trainer import make_trainer, micro_batch


def test_steps_and_clipping_are_the_recipes() -> None:
    with quiet_lightning():
        trainer = make_trainer(Recipe(steps=7, gradient_clip=0.5))
    assert trainer.max_steps == 7
    assert trainer.gradient_clip_val == 0.5
    assert trainer.num_devices == 1
    assert trainer.logger is None


@pytest.mark.parametrize(("precision", "expected"), [("fp32", "32-true"), ("bf16", "bf16-mixed")])
def test_precision(precision: str, expected: str) -> None:
    with quiet_lightning():
        assert make_trainer(Recipe(), precision).precision == expected  # type: ignore[arg-type]


class _FilledMemory(Callback):
    """Has PyTorch write NaN, or the largest integer, into all memory that it takes."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory, "it takes time"
        torch.utils.deterministic.fill_uninitialized_memory = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        torch.utils.deterministic.fill_uninitialized_memory = False


@pytest.mark.parametrize("method", sorted(registered_methods()))
def test_no_memory_is_read_before_it_is_written(method: str, backbone_folder: Path) -> None:
    recipe = Recipe(steps=2, batch_size=3, pretrained=False)
    few = Evaluation(examples=2, templates=1)
    spec = RunSpec("cb", str(backbone_folder), method, recipe=recipe, evaluation=few, shots=4)
    filled = run(spec, trainer={"accelerator": "cpu", "callbacks": [_FilledMemory()]})
    plain = run(spec, trainer={"accelerator": "cpu"})
    assert filled.adaptation == plain.adaptation
    pd.testing.assert_frame_equal(filled.losses, plain.losses)
    pd.testing.assert_frame_equal(filled.predictions, plain.predictions)


def test_flags_win_and_progress_is_reported() -> None:
    with quiet_lightning():
        trainer = make_trainer(Recipe(), progress=lambda *_: None, options={"accumulate_grad_batches": 2})
    assert trainer.accumulate_grad_batches == 2
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    assert any(isinstance(callback, ReportProgress) for callback in callbacks)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"strategy": "dpp"}, "--strategy dpp: there are auto, ddp and fsdp"),
        ({"strategy": "ddp_spawn", "devices": 2}, "--strategy ddp_spawn: there are auto, ddp and fsdp"),
        ({"strategy": "fsdp"}, "--strategy fsdp .* give --devices 2 or more"),
        ({"accelerator": "gpu"}, "cannot compute with accelerator gpu: "),
        ({"accelerator": "cpu", "devices": 0}, "cannot compute with accelerator cpu, devices 0: "),
    ],
)
def test_devices_and_strategies_that_are_not_there(flags: dict[str, Any], message: str) -> None:
    with quiet_lightning(), pytest.raises(UserError, match=message) as caught:
        make_trainer(Recipe(), options=flags)
    assert "\n" not in str(caught.value)


def test_a_batch_is_divided_evenly() -> None:
    with quiet_lightning():
        trainer = make_trainer(Recipe(), options={"accelerator": "cpu", "devices": 2, "accumulate_grad_batches": 2})
    assert micro_batch(trainer, 8) == 2
    with pytest.raises(UserError, match="a batch of 6 cannot be divided into 4 equal parts"):
        micro_batch(trainer, 6)
