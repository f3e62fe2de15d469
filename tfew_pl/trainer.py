"""Lightning's Trainer as every training and evaluation here starts it."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from tfew_pl.progress import Progress, ReportProgress
from tfew_pl.recipe import Recipe
from tfew_pl.spec import Precision

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "int8": "bf16-mixed", "nf4": "bf16-mixed"}


def make_trainer(
    recipe: Recipe,
    precision: Precision = "fp32",
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
) -> pl.Trainer:
    """A deterministic Trainer of one device that writes nothing and shows nothing by itself.

    Args:
        recipe: of which it takes the steps and the clipping.
        precision: of the computation.
        progress: told how far it has come.
        options: the Trainer's own flags, which win over what is set here.
    """
    settings = {
        "devices": 1,
        "precision": _PRECISIONS[precision],
        "max_steps": recipe.steps,
        "gradient_clip_val": recipe.gradient_clip,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "deterministic": True,
    }
    given = dict(options or {})
    callbacks = [*([ReportProgress(progress)] if progress else []), *given.pop("callbacks", ())]
    return pl.Trainer(**{**settings, **given, "callbacks": callbacks})
