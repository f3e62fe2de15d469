"""The architectures of T5-family backbones, so that parameters can be counted without weights or a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfew_pl import backbones
from tfew_pl.errors import UserError

if TYPE_CHECKING:  # listing commands must not wait for transformers
    from transformers import T5ForConditionalGeneration

VOCABULARY = 32128
"""Rows of the embeddings: T5's 32,100 tokens, padded to a multiple of 128."""


@dataclass(frozen=True)
class Shape:
    """What of a T5's configuration determines its parameters; encoder and decoder have as many layers."""

    d_model: int
    d_kv: int
    d_ff: int
    heads: int
    layers: int
    gated: bool
    """Version 1.1: a gated feed-forward (GELU) and a head of its own. Version 1.0: ReLU, and the embeddings as head."""

    def config(self) -> dict[str, Any]:
        """As T5's configuration names it."""
        return {
            "vocab_size": VOCABULARY,
            "d_model": self.d_model,
            "d_kv": self.d_kv,
            "d_ff": self.d_ff,
            "num_heads": self.heads,
            "num_layers": self.layers,
            "num_decoder_layers": self.layers,
            "feed_forward_proj": "gated-gelu" if self.gated else "relu",
            "tie_word_embeddings": not self.gated,
        }


_XL = Shape(2048, 64, 5120, 32, 24, gated=True)
_XXL = Shape(4096, 64, 10240, 64, 24, gated=True)
SHAPES = {
    "t0-3b": _XL,
    "t0": _XXL,
    "t5-lm-xl": _XL,
    "t5-lm-xxl": _XXL,
    "t5-small": Shape(512, 64, 2048, 8, 6, gated=False),
    "t5-base": Shape(768, 64, 3072, 12, 12, gated=False),
    "t5-large": Shape(1024, 64, 4096, 16, 24, gated=False),
    "t5-3b": Shape(1024, 128, 16384, 32, 24, gated=False),
    "t5-11b": Shape(1024, 128, 65536, 128, 24, gated=False),
    "t5-v1_1-small": Shape(512, 64, 1024, 6, 8, gated=True),
    "t5-v1_1-base": Shape(768, 64, 2048, 12, 12, gated=True),
    "t5-v1_1-large": Shape(1024, 64, 2816, 16, 24, gated=True),
    "t5-xl": _XL,
    "t5-xxl": _XXL,
}
"""By short name: the `config.json` of each on the hub. XL and XXL are sizes of version 1.1 alone, so need no `v1_1`."""


def _of_folder(name: str) -> dict[str, Any]:
    config = backbones.read_config(name)
    if config.get("model_type") not in backbones.T5_FAMILY:
        raise UserError(f"backbone {name}: its config.json is not that of a T5")
    return config


def empty_backbone(name: str) -> "T5ForConditionalGeneration":
    """A backbone on the meta device: every parameter's shape, no weight.

    Args:
        name: one of `SHAPES`, an embedded backbone, or a folder with a T5's config.json.

    Raises:
        UserError: its architecture is not known.
    """
    import torch
    from transformers import MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration

    if name in SHAPES:
        config = SHAPES[name].config()
    elif name in backbones.ALIASES or Path(name).is_dir():
        config = _of_folder(name)
    else:
        raise UserError(
            f"backbone {name}: its architecture is not known here; there are {', '.join(SHAPES)}, and any folder "
            f"with a config.json"
        )
    # transformers 5 ties every T5: what the file says is asked for before, and mended after. No mT5 is tied.
    of_mt5 = config.get("model_type") == "mt5"
    untied = of_mt5 or config.get("tie_word_embeddings") is False or config.get("scale_decoder_outputs") is False
    settings = {**config, "tie_word_embeddings": not untied}
    with torch.device("meta"):
        model = (
            MT5ForConditionalGeneration(MT5Config(**settings))
            if of_mt5
            else T5ForConditionalGeneration(T5Config(**settings))
        )
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight)) if untied else (
            model.shared.weight
        )  # fmt: skip
    model.config.tie_word_embeddings = not untied
    return model.eval()
