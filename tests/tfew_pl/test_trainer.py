"""What a Trainer takes from the recipe, and that a user's flags win."""

from typing import Any

import pytest
from pytorch_lightning import Callback

from tfew_pl.errors import UserError
from tfew_pl.progress import ReportProgress
from tfew_pl.quiet import quiet_lightning
from tfew_pl.recipe import Recipe
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
