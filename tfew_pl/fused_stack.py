"""T5's stacks without what transformers does around their layers: the same values in fewer operations."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.models.t5.modeling_t5 import T5Block, T5Stack

from tfew_pl.fused_attention import Biases
from tfew_pl.packing import Packing


class FusedStack(T5Stack):
    """T5's encoder or decoder.

    Attentions, feed-forwards, norms and linear maps are called as modules, so that what hooks them takes part. Where
    a whole block or layer is hooked, wrapped or checkpointed, or more is asked than the last states, transformers' own
    way is taken.
    """

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        position: Tensor | None = None,
        sequence: Tensor | None = None,
        packing: Packing | None = None,
        encoder_packing: Packing | None = None,
        **more: Any,
    ) -> Any:
        """As T5's; see there.

        Args:
            position: (rows, tokens), of each vector, where a row holds sequences that do not see each other. Only where
                `is_fused`.
            sequence: (rows, tokens), with it: of each vector. All see those of sequence -1 that are before them, and
                what an adaptation puts before the row.
            packing: how the input is packed, of whose sequences all other arguments speak. Only where `is_fused`.
            encoder_packing: how the encoder's states are.
        """
        caches = past_key_values is not None or (self.is_decoder and use_cache is not False)
        if caches or more or (input_ids is None) == (inputs_embeds is None) or not self.is_fused():
            return super().forward(
                input_ids=input_ids,
                attention_mask=attention_mask,
                encoder_hidden_states=encoder_hidden_states,
                encoder_attention_mask=encoder_attention_mask,
                inputs_embeds=inputs_embeds,
                past_key_values=past_key_values,
                use_cache=use_cache,
                **more,
            )
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds  # (rows, tokens, d_model)
        mask = _additive(attention_mask, x.dtype)
        bias, biases = None, Biases()
        if position is not None and sequence is not None:
            before = 0 if packing is not None else x.shape[1] - position.shape[1]
            position, sequence = _after(before, position, sequence)
            apart = _apart(x, position, sequence)
            mask = apart if mask is None else mask + apart
        elif self.is_decoder:
            causal = _causal(x)
            mask = causal if mask is None else mask + causal
        cross_mask = _additive(encoder_attention_mask, x.dtype)
        x = self._dropped(self, x)
        for block in self._blocks():
            layers = block.layer
            out, bias, _ = layers[0].SelfAttention(
                layers[0].layer_norm(x), mask=mask, position_bias=bias, position=position, biases=biases,
                packing=packing, key_packing=packing, fused=True,
            )  # fmt: skip
            x = x + self._dropped(layers[0], out)
            if self.is_decoder and encoder_hidden_states is not None:
                out = layers[1].EncDecAttention(
                    layers[1].layer_norm(x), mask=cross_mask, key_value_states=encoder_hidden_states,
                    packing=packing, key_packing=encoder_packing, fused=True,
                )[0]  # fmt: skip
                x = x + self._dropped(layers[1], out)
            out = layers[-1].DenseReluDense(layers[-1].layer_norm(x))
            x = x + self._dropped(layers[-1], out)
        x = self._dropped(self, self.final_layer_norm(x))
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=x)

    @staticmethod
    def _dropped(module: Any, x: Tensor) -> Tensor:
        """What the module's dropout leaves of it."""
        dropped: Tensor = module.dropout(x) if module.dropout.training else x
        return dropped

    def _blocks(self) -> Iterator[Any]:
        yield from self.block

    def is_fused(self) -> bool:
        """Whether its own way can be taken: no block or layer does more, when it is called, than call its parts."""
        return not any(
            type(block) is not T5Block  # wrapped or sharded
            or block.gradient_checkpointing
            or _is_hooked(block)
            or any(map(_is_hooked, block.layer))
            for block in self._blocks()
        )


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def _additive(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What is added to scores: 0 where a key may be looked at, else the smallest number.

    Args:
        mask: (rows, keys), not 0 on tokens; or what is added already, which is given back.
    """
    if mask is None or mask.is_floating_point():
        return mask
    if mask.ndim == 2:
        mask = mask[:, None, None]  # (rows, 1, 1, keys)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask == 0, torch.finfo(dtype).min)


def _after(before: int, position: Tensor, sequence: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, before + tokens) each: positions and sequences of rows that stand behind so many vectors.

    Args:
        position: (rows, tokens).
        sequence: (rows, tokens).
    """
    if before == 0:
        return position, sequence
    places = torch.arange(before, device=position.device).expand(len(position), -1)
    return torch.cat([places, position + before], dim=1), F.pad(sequence, (before, 0), value=-1)


def _apart(x: Tensor, position: Tensor, sequence: Tensor) -> Tensor:
    """(rows, 1, tokens, tokens), what is added to scores so that a vector sees itself and what is before it.

    Args:
        position: (rows, tokens).
        sequence: (rows, tokens); all see what is of sequence -1.
    """
    later = position[:, None] > position[:, :, None]  # (rows, queries, keys)
    of_others = (sequence[:, None] != sequence[:, :, None]) & (sequence != -1)[:, None]
    return x.new_zeros(later.shape).masked_fill_(later | of_others, torch.finfo(x.dtype).min)[:, None]


def _causal(x: Tensor) -> Tensor:
    """(1, 1, tokens, tokens), what is added to scores so that a token sees itself and what is before it."""
    tokens = x.shape[1]
    least = x.new_full((tokens, tokens), torch.finfo(x.dtype).min)
    return least.triu_(1)[None, None]
