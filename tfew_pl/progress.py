"""Telling others how far a training or an evaluation has come."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

Progress = Callable[[str, float], None]
"""Told the stage, `training` or `evaluation`, and the share of it that is done."""


class ReportProgress(pl.Callback):
    """Passes a Trainer's progress on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """After a step of training."""
        self._progress("training", trainer.global_step / trainer.max_steps)

    def on_test_batch_end(
        self, trainer: pl.Trainer, _module: Any, _outputs: Any, _batch: Any, index: int, *_: Any
    ) -> None:
        """After a batch of evaluation."""
        self._progress("evaluation", (index + 1) / sum(trainer.num_test_batches))
