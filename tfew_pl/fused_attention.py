"""T5's attention in fewer operations, with the same values, forward and backward."""

from functools import lru_cache
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.t5.modeling_t5 import T5Attention

from tfew_pl.packing import Packing


class _Attention(torch.autograd.Function):
    """softmax(q k^T + bias) v over heads; the backward pass is written out.

    Symbols: batch, queries, keys, inner = heads x d_kv.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, heads: int) -> Tensor:
        batch = len(q)
        q, k, v = (_split(x, heads) for x in (q, k, v))  # (batch x heads, length, d_kv)
        if _is_whole(bias, batch, heads, q.shape[1], k.shape[1]):
            scores = torch.baddbmm(bias.view(batch * heads, q.shape[1], k.shape[1]), q, k.transpose(1, 2))
        else:
            scores = torch.bmm(q, k.transpose(1, 2))
            if bias is not None:
                scores.view(batch, heads, *scores.shape[1:]).add_(bias)
        p = scores.softmax(-1)  # (batch x heads, queries, keys)
        ctx.save_for_backward(q, k, v, p)
        ctx.heads, ctx.bias_shape = heads, None if bias is None else bias.shape
        return _merge(torch.bmm(p, v), heads)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, p = ctx.saved_tensors
        wants_q, wants_k, wants_v, wants_bias, _ = ctx.needs_input_grad
        of_out = _split(gradient, ctx.heads)
        of_v = torch.bmm(p.transpose(1, 2), of_out) if wants_v else None
        of_p = torch.bmm(of_out, v.transpose(1, 2))
        of_scores = torch._softmax_backward_data(of_p, p, -1, p.dtype)
        of_bias = None
        if wants_bias:
            batch = len(q) // ctx.heads
            of_bias = of_scores.view(batch, ctx.heads, *p.shape[1:]).sum_to_size(ctx.bias_shape)
        of_q = torch.bmm(of_scores, k) if wants_q else None
        of_k = torch.bmm(of_scores.transpose(1, 2), q) if wants_k else None
        of_inputs = (None if g is None else _merge(g, ctx.heads) for g in (of_q, of_k, of_v))
        return *of_inputs, of_bias, None


def _is_whole(bias: Tensor | None, batch: int, heads: int, queries: int, keys: int) -> TypeGuard[Tensor]:
    """Whether a bias has a number for each score, so that it is added in the product; a compiler adds it anyway."""
    return not torch.compiler.is_compiling() and bias is not None and bias.shape == (batch, heads, queries, keys)


def _split(x: Tensor, heads: int) -> Tensor:
    """(batch, length, inner) -> (batch x heads, length, d_kv)."""
    batch, length, inner = x.shape
    return x.view(batch, length, heads, inner // heads).transpose(1, 2).reshape(batch * heads, length, -1)


def _merge(x: Tensor, heads: int) -> Tensor:
    """(batch x heads, length, d_kv) -> (batch, length, inner)."""
    rows, length, width = x.shape
    return x.view(rows // heads, heads, length, width).transpose(1, 2).reshape(rows // heads, length, heads * width)


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, heads: int, dropout: float = 0.0) -> Tensor:
    """T5's attention, which does not scale its scores.

    Args:
        q: (batch, queries, inner).
        k: (batch, keys, inner).
        v: (batch, keys, inner).
        bias: added to the scores, broadcast to (batch, heads, queries, keys): relative positions, and the smallest
            number where a query must not look.
        heads: into which inner divides.
        dropout: share of the attention's weights that is dropped.

    Returns:
        (batch, queries, inner)
    """
    if q.device.type == "cpu" and q.dtype in (torch.float32, torch.float64) and not dropout and _plain(q, k, v):
        mixed: Tensor = _Attention.apply(q, k, v, bias, heads)
        return mixed
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    if bias is not None:
        bias = bias.to(q.dtype)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout, scale=1.0)
    return mixed.transpose(1, 2).flatten(2)


def _plain(*tensors: Tensor) -> bool:
    """Whether operations do with the tensors what they say: no autocast, one precision."""
    return not torch.is_autocast_enabled("cpu") and len({x.dtype for x in tensors}) == 1


class Biases:
    """What is added to scores in the layers of a stack, which share it as long as they are given the same."""

    def __init__(self) -> None:
        self._parts: tuple[Tensor, Tensor] | None = None
        self._total: Tensor | None = None

    def total(self, position_bias: Tensor | None, mask: Tensor | None) -> Tensor | None:
        """Their sum, (batch, heads, queries, keys), or what is there of them."""
        if position_bias is None or mask is None:
            return mask if position_bias is None else position_bias
        if self._parts is None or self._parts[0] is not position_bias or self._parts[1] is not mask:
            self._parts, self._total = (position_bias, mask), position_bias + mask
        return self._total


class FusedAttention(T5Attention):
    """T5's attention module. Called with `fused=True` it returns no attention weights, and takes no cache."""

    def forward(self, hidden_states: Tensor, *args: Any, fused: bool = False, **named: Any) -> Any:
        """As T5's; the output, the position bias that the next layers share, and None for the weights."""
        if not fused:
            return super().forward(hidden_states, *args, **named)
        return self._fused(hidden_states, **named)

    def _fused(
        self,
        hidden_states: Tensor,
        mask: Tensor | None = None,
        key_value_states: Tensor | None = None,
        position_bias: Tensor | None = None,
        position: Tensor | None = None,
        biases: Biases | None = None,
        packing: Packing | None = None,
        key_packing: Packing | None = None,
    ) -> tuple[Tensor, Tensor | None, None]:
        states = hidden_states if key_value_states is None else key_value_states
        q, k, v = self.q(hidden_states), self.k(states), self.v(states)
        if packing is not None:
            q = packing.apart(q)
        if key_packing is not None:
            k, v = key_packing.apart(k), key_packing.apart(v)
        if position_bias is None and self.has_relative_attention_bias:
            if position is None:
                position_bias = self.compute_bias(q.shape[1], k.shape[1], device=q.device)
            else:
                position_bias = self.bias_between(position, position)
        bias = (biases or Biases()).total(position_bias, mask)
        mixed = attention(q, k, v, bias, self.n_heads, self.dropout if self.training else 0.0)
        if packing is not None:
            mixed = packing.together(mixed)
        return self.o(mixed), position_bias, None

    def compute_bias(
        self, query_length: int, key_length: int, device: torch.device | None = None, past_seen_tokens: int = 0
    ) -> Tensor:
        """(1, heads, queries, keys), the bias of relative positions, whose buckets are computed once a length."""
        if isinstance(past_seen_tokens, Tensor):
            computed: Tensor = super().compute_bias(query_length, key_length, device, past_seen_tokens)
            return computed
        find = _buckets.__wrapped__ if torch.compiler.is_compiling() else _buckets  # lengths that are symbols
        buckets = find(
            query_length,
            key_length,
            past_seen_tokens,
            not self.is_decoder,
            self.relative_attention_num_buckets,
            self.relative_attention_max_distance,
            self.relative_attention_bias.weight.device if device is None else device,
        )
        return self._bias(buckets[None])

    def bias_between(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(rows, heads, queries, keys), the bias between vectors that stand at these positions.

        Args:
            queries: (rows, queries).
            keys: (rows, keys).
        """
        apart = keys[:, None] - queries[:, :, None]  # (rows, queries, keys)
        buckets, distance = self.relative_attention_num_buckets, self.relative_attention_max_distance
        return self._bias(self._relative_position_bucket(apart, not self.is_decoder, buckets, distance))

    def _bias(self, buckets: Tensor) -> Tensor:
        """(rows, queries, keys) -> (rows, heads, queries, keys)"""
        values: Tensor = self.relative_attention_bias(buckets)  # (rows, queries, keys, heads)
        return values.permute(0, 3, 1, 2).contiguous()


@lru_cache(maxsize=512)
def _buckets(
    queries: int, keys: int, past: int, bidirectional: bool, buckets: int, distance: int, device: torch.device
) -> Tensor:
    """(queries, keys), the bucket of each relative position."""
    with torch.inference_mode(False):  # what an evaluation has made, a training may need
        of_query = torch.arange(queries, device=device)[:, None] + past
        of_key = torch.arange(keys, device=device)[None, :]
        found: Tensor = T5Attention._relative_position_bucket(of_key - of_query, bidirectional, buckets, distance)
    return found
