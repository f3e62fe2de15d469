"""A fitted task's adaptation folded into its backbone: a plain transformers model."""

import copy
import dataclasses
from pathlib import Path

from tfew_pl.atomic import new_folder
from tfew_pl.backbones import load_backbone
from tfew_pl.errors import UserError
from tfew_pl.quantization import QUANTIZED
from tfew_pl.quiet import quiet_transformers
from tfew_pl.registry import method_class, registered_methods
from tfew_pl.userdata.fitted import DESCRIPTION, Fitted
from tfew_pl.userdata.predictor import attach, check_together


def check_mergeable(method: str) -> None:
    """Refuses a method that no weight can express.

    Raises:
        UserError: it is such a method; the message names the others.
    """
    if not method_class(method).mergeable:
        others = ", ".join(name for name in sorted(registered_methods()) if method_class(name).mergeable)
        raise UserError(f"method {method} cannot be merged into a backbone's weights; these can: {others}")


def merge(fitted: Fitted, out: Path, backbone: str | None = None) -> None:
    """Writes the merged model and its tokenizer, as `from_pretrained` reads them, and the task's description.

    Weights that were quantized for the training are merged in bf16. Memory: twice that of the backbone, which others
    may be using.

    Args:
        fitted: the task.
        out: the folder to make.
        backbone: where it is now, if not where it was.

    Raises:
        UserError: the method cannot be merged, the backbone is another one, or the folder cannot be written.
    """
    check_mergeable(fitted.spec.method)
    together = {fitted.task.name: fitted}
    name = check_together(together, backbone)
    precision = fitted.spec.precision
    loaded = load_backbone(name, "bf16" if precision in QUANTIZED else precision)
    loaded = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
    attach(together, loaded).merge()
    with new_folder(out) as folder, quiet_transformers():
        try:
            loaded.model.save_pretrained(folder)
            loaded.tokenizer.save_pretrained(folder)
        except Exception as error:  # safetensors and tokenizers have no common narrower one for the disk's refusal
            if "os error" not in str(error):
                raise
            raise OSError(str(error)) from error
        (folder / DESCRIPTION).write_text(fitted.description(), encoding="utf-8")
