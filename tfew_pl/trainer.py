"""Lightning's Trainer as every training and evaluation here starts it."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from tfew_pl.errors import UserError
from tfew_pl.progress import Progress, ReportProgress
from tfew_pl.recipe import Recipe
from tfew_pl.spec import Precision
from tfew_pl.strategies import ShardedBackbone, find_strategy

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "int8": "bf16-mixed", "nf4": "bf16-mixed"}


def make_trainer(
    recipe: Recipe,
    precision: Precision = "fp32",
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
) -> pl.Trainer:
    """A deterministic Trainer of one device that writes nothing and shows nothing by itself.

    Args:
        recipe: of which it takes the steps, the clipping and the accumulated micro-batches.
        precision: of the computation.
        progress: told how far it has come.
        options: the Trainer's own flags, which win over what is set here; for `strategy` see `find_strategy`.

    Raises:
        UserError: there is no such device or strategy.
    """
    settings = {
        "devices": 1,
        "precision": _PRECISIONS[precision],
        "max_steps": recipe.steps,
        "gradient_clip_val": recipe.gradient_clip,
        "accumulate_grad_batches": recipe.accumulate,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "deterministic": True,
        "use_distributed_sampler": False,  # the data modules divide the data; Lightning would shuffle them
    }
    given = dict(options or {})
    callbacks = [*([ReportProgress(progress)] if progress else []), *given.pop("callbacks", ())]
    given["strategy"] = find_strategy(given.get("strategy", "auto"), given.get("devices", 1))
    if isinstance(given["strategy"], ShardedBackbone):
        settings["inference_mode"] = False  # what is gathered in it could not take part in a later backward pass
    try:
        trainer = pl.Trainer(**{**settings, **given, "callbacks": callbacks})
    except (MisconfigurationException, ValueError) as error:
        flags = ", ".join(f"{name} {value}" for name, value in (options or {}).items() if name != "callbacks")
        raise UserError(f"cannot compute with {flags}: {str(error).strip().splitlines()[0]}") from error
    # With `deterministic`, PyTorch also writes over all memory that it takes, against programs that read it first. None
    # here does, and the writing takes up to a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return trainer


def micro_batch(trainer: pl.Trainer, batch_size: int) -> int:
    """Examples that a device takes at a time: the batch divided among devices and accumulated micro-batches.

    Raises:
        UserError: it cannot be divided so.
    """
    parts = trainer.world_size * trainer.accumulate_grad_batches
    if batch_size % parts:
        raise UserError(
            f"a batch of {batch_size} cannot be divided into {parts} equal parts (devices x accumulated "
            f"micro-batches): change --devices, --accumulate or the batch size"
        )
    return batch_size // parts
