"""T5 in fewer operations, with the same values: its norm and feed-forward here, attention and stack beside."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import NewGELUActivation
from transformers.models.t5.modeling_t5 import T5Attention, T5DenseGatedActDense, T5LayerNorm, T5Stack
from transformers.utils.output_capturing import _CAN_RECORD_REGISTRY

from tfew_pl.fused_attention import FusedAttention
from tfew_pl.fused_stack import FusedStack


class _RMSNorm(torch.autograd.Function):
    """y = w x / RMS(x); the backward pass is written out: a third of the operations that autograd makes of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # in one pass
        scale = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        normalized = x * scale
        ctx.save_for_backward(normalized, weight, scale)
        return normalized * weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        normalized, weight, scale = ctx.saved_tensors
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (gradient * normalized).sum_to_size(weight.shape)
        if not ctx.needs_input_grad[0]:
            return None, of_weight, None
        scaled = gradient * weight
        along = (scaled * normalized).mean(-1, keepdim=True)
        return scaled.addcmul_(normalized, along, value=-1).mul_(scale), of_weight, None


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """T5's layer norm, w x / RMS(x), computed in fp32 or better.

    Args:
        x: (rows, tokens, d_model).
        weight: (d_model,), or (rows, 1, d_model) where each row has its own; in that precision.
        epsilon: added to the mean square.

    Returns:
        (rows, tokens, d_model), in that precision.
    """
    normalized: Tensor = _RMSNorm.apply(x.to(torch.promote_types(x.dtype, torch.float32)), weight, epsilon)
    return normalized


class RMSNorm(T5LayerNorm):
    """T5's layer norm: no mean, no bias. Other precisions than fp32 take T5's own way, which is careful of them."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(..., d_model) -> the same."""
        if hidden_states.dtype != torch.float32 or self.weight.dtype != torch.float32:
            return super().forward(hidden_states)
        return _RMSNorm.apply(hidden_states, self.weight, self.variance_epsilon)


class _Scaled(torch.autograd.Function):
    """x s in the precision of x, rounded once; the backward pass written out: without the views that autograd makes of
    a broadcast.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        return (x * scale.unsqueeze(1)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, scale = ctx.saved_tensors
        of_x = (gradient * scale.unsqueeze(1)).to(x.dtype) if ctx.needs_input_grad[0] else None
        of_scale = None
        if ctx.needs_input_grad[1]:
            of_scale = (gradient.to(scale.dtype) * x).sum((0, 1) if len(scale) == 1 else 1).view_as(scale)
        return of_x, of_scale


def scaled(x: Tensor, scale: Tensor) -> Tensor:
    """Each row's activations times a vector.

    Args:
        x: (rows, tokens, dimension).
        scale: (rows, dimension), or (1, dimension) for one that all rows share.

    Returns:
        (rows, tokens, dimension), in the precision of x.
    """
    product: Tensor = _Scaled.apply(x, scale.to(torch.promote_types(x.dtype, scale.dtype)))
    return product


class _GatedGELU(torch.autograd.Function):
    """GELU(a) b, the GELU approximated by tanh: a s b with s = sigmoid(2 u), u = sqrt(2 / pi) (a + 0.044715 a^3)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        s = a.square().mul_(_CUBIC).add_(_LINEAR).mul_(a).sigmoid_()
        gelu = a * s
        ctx.save_for_backward(a, b, s, gelu)
        return gelu * b

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        a, b, s, gelu = ctx.saved_tensors
        # d gelu / d a = s + gelu (1 - s) d(2 u) / d a
        slope = a.square().mul_(3 * _CUBIC).add_(_LINEAR).mul_(gelu)
        slope.addcmul_(slope, s, value=-1).add_(s)
        return slope.mul_(b).mul_(gradient), gradient * gelu


_LINEAR = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _LINEAR
"""2 u = _LINEAR a + _CUBIC a^3 (Hendrycks & Gimpel 2016, Section 2)."""


def gated_gelu(a: Tensor, b: Tensor) -> Tensor:
    """GELU(a) b, the GELU approximated by tanh; in fp32 on a CPU a third of the time of its parts."""
    if a.device.type != "cpu" or a.dtype != torch.float32 or b.dtype != torch.float32:
        return F.gelu(a, approximate="tanh") * b
    product: Tensor = _GatedGELU.apply(a, b)
    return product


class FusedGatedFeedForward(T5DenseGatedActDense):
    """T5 v1.1's feed-forward, gated by a GELU that is approximated by tanh."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(rows, tokens, d_model) -> the same."""
        inner = gated_gelu(self.wi_0(hidden_states), self.wi_1(hidden_states))  # (rows, tokens, d_ff)
        if self.dropout.training:
            inner = self.dropout(inner)
        if inner.dtype != self.wo.weight.dtype and not torch.is_autocast_enabled(inner.device.type):
            inner = inner.to(self.wo.weight.dtype)  # as T5 does, whose wo may be kept in fp32
        out: Tensor = self.wo(inner)
        return out


def fuse(model: nn.Module) -> None:
    """Has a T5 compute the same in fewer operations, weights untouched: its modules stay, of other classes."""
    for module in model.modules():
        gated = type(module) is T5DenseGatedActDense and isinstance(module.act, NewGELUActivation)
        replacement = FusedGatedFeedForward if gated else _CLASSES.get(type(module))
        if replacement is not None:
            module.__class__ = replacement
        if isinstance(module, FusedStack):  # as a model of transformers registers itself, by its class
            _CAN_RECORD_REGISTRY[module] = module._can_record_outputs


_CLASSES: dict[type[nn.Module], type[nn.Module]] = {
    T5LayerNorm: RMSNorm,
    T5Attention: FusedAttention,
    T5Stack: FusedStack,
}
