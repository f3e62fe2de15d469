"""A Trainer's callback that hands what a training shows to loggers, those of each slot its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor

from tfew_pl.adafactor import slot_norms
from tfew_pl.module import TFewModule


@dataclass(frozen=True)
class _Step:
    """What is known of a step before its losses are noted."""

    number: int
    learning_rate: float
    gradient_norms: Tensor
    """(slots,), before clipping."""


class TrainingLog(pl.Callback):
    """Logs, at every step whose losses the module notes: these and their weighted sum, the gradient's norm before
    clipping, and the learning rate.

    Args:
        loggers: of each slot.
    """

    def __init__(self, loggers: Sequence[Sequence[Logger]]) -> None:
        self._loggers = loggers
        self._step: _Step | None = None

    def write(self, slot: int, values: Mapping[str, float], step: int) -> None:
        """Hands numbers to the loggers of a slot."""
        for logger in self._loggers[slot]:
            logger.log_metrics(dict(values), step)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """The gradient is whole, and not yet clipped."""
        assert isinstance(module, TFewModule)  # noqa: S101 (the only module there is)
        step = trainer.global_step + 1
        if any(self._loggers) and module.notes_at(step):
            groups = optimizer.param_groups
            parameters = [p for group in groups for p in group["params"]]
            slots = 1 if module.adaptation is None else module.adaptation.slots
            self._step = _Step(step, groups[0]["lr"], slot_norms(parameters, slots))

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """The step before is complete; at its end the module has yet to note its losses."""
        self._log_step(module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """The last step."""
        self._log_step(module)

    def _log_step(self, module: pl.LightningModule) -> None:
        if self._step is None:
            return
        assert isinstance(module, TFewModule)  # noqa: S101
        for slot, norm in enumerate(self._step.gradient_norms.tolist()):
            values = {f"loss/{name}": value for name, value in module.noted(slot).items()}
            values |= {"gradient_norm": norm, "learning_rate": self._step.learning_rate}
            self.write(slot, values, self._step.number)
        self._step = None
