"""Frozen backbones of 8 or 4 bits a weight, by bitsandbytes (the extra `quantization`).

T5 keeps the output maps of its feed-forwards (`wo`) in bfloat16: their inputs overflow what 8-bit products are made
of. Embeddings and head are kept so too. `weight_bytes` counts what that takes.
"""

import importlib.util
from typing import TYPE_CHECKING, Any

from tfew_pl.errors import UserError
from tfew_pl.spec import Precision

if TYPE_CHECKING:  # checking a run must not wait for torch
    from torch import nn

QUANTIZED: tuple[Precision, ...] = ("int8", "nf4")
"""`int8`: LLM.int8() (Dettmers et al. 2022a). `nf4`: 4-bit NormalFloat (Dettmers et al. 2023, QLoRA)."""


def require_library(precision: Precision) -> None:
    """Returns if a precision needs no quantization, or the library for it is installed.

    Raises:
        UserError: it is not installed.
    """
    if precision in QUANTIZED and importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(
            f"precision {precision} needs bitsandbytes: pip install -c constraints.txt bitsandbytes, "
            f"or choose fp32 or bf16"
        )


def quantization_config(precision: Precision) -> Any:
    """What transformers' `from_pretrained` is told; None for a precision that is not quantized."""
    import torch
    from transformers import BitsAndBytesConfig

    require_library(precision)
    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    if precision == "nf4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_use_double_quant=True,
        )
    return None


def keep_differentiable(model: "nn.Module") -> None:
    """Has 4-bit maps compute one way in inference and training.

    bitsandbytes 0.50 packs them anew for a CPU's inference kernel at the first pass without gradients; the kernel has
    no gradient, and every later training step would silently lack what flows through it.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def is_quantized(model: "nn.Module") -> bool:
    """Whether any of its weights are quantized."""
    return bool(getattr(model, "is_quantized", False))


def parameter_count(model: "nn.Module") -> int:
    """Number of parameters of a model; a 4-bit weight holds two of them a byte."""
    total = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        total += parameter.numel() if state is None else state.shape.numel()
    return total


KEPT = (".wo", "lm_head")
"""Endings of the linear maps of a T5 that are not quantized."""
NF4_BLOCK = 64
"""Weights that share a scale of one byte; 256 scales share one of four (double quantization, QLoRA, Section 3)."""


def weight_bytes(model: "nn.Module", precision: Precision) -> int:
    """Memory of a T5's weights in a precision, their scales included. Works on the meta device.

    Args:
        model: not quantized.
        precision: that it would be loaded in.
    """
    from torch import nn

    each = 4 if precision == "fp32" else 2
    total = each * sum(p.numel() for p in model.parameters())
    if precision in QUANTIZED:
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and not name.endswith(KEPT):
                own = module.weight.numel()
                scales = 4 * module.out_features  # int8: one of four bytes an output
                if precision == "nf4":
                    blocks = -(-own // NF4_BLOCK)
                    scales = blocks + 4 * -(-blocks // 256)
                total += (own if precision == "int8" else -(-own // 2)) + scales - each * own
    return total
