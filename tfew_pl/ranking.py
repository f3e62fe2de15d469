"""Scoring answer choices: the inner loop of training and evaluation.

The encoder runs once an input, and in an evaluation once for equal ones. The choices of an example share its
cross-attention keys and values, and where that pays the decoder's start; see `choice_layout`. Otherwise, for the
cross-attention alone, the decoder's states go from (batch x choices, tokens) to (batch, choices x tokens). The
language-model head runs only where a choice has a token; see `fused_head`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import T5ForConditionalGeneration

from tfew_pl.choice_layout import pays, side_by_side
from tfew_pl.choices import ChoiceBatch, ChoiceScores
from tfew_pl.fused_head import token_scores
from tfew_pl.fused_stack import FusedStack
from tfew_pl.packing import Packing
from tfew_pl.pass_costs import PassCosts

DECODER_START = 0
"""T5's decoder starts from the padding token."""
CHOICE_TOKENS = 8192
"""Tokens of choices, padding counted, that are decoded at once. The held-out tasks stay below it in training."""
Within = Callable[[Tensor | None], AbstractContextManager[None]]
"""What is entered for a pass through the backbone of some examples of a batch, (taken,) indices, or None for all."""


def _as_it_is(_examples: Tensor | None) -> AbstractContextManager[None]:
    return nullcontext()


def score_choices(
    backbone: T5ForConditionalGeneration,
    batch: ChoiceBatch,
    complement: bool = False,
    *,
    within: Within = _as_it_is,
    tokens: int = CHOICE_TOKENS,
    before: int = 0,
    packed: bool = False,
    encoded: Tensor | None = None,
) -> ChoiceScores:
    """Scores every token of every choice of every example.

    Longer lists of choices than fit are decoded part after part. In training, a part keeps its scores alone, and is
    decoded once more in the backward pass, so that memory does not grow with the number of choices; the gradients
    are exact.

    Args:
        backbone: a T5-family model; adaptations attached to it take part.
        batch: the examples.
        complement: whether log(1 - p) is wanted, for the unlikelihood loss.
        within: gives what is entered for each pass through the backbone, those of the backward pass included; see
            `Within`.
        tokens: of choices, padding counted, that are decoded at once; at least a choice of each example is.
        before: vectors that the adaptation puts before the decoder's input; see `Adaptation`.
        packed: whether examples of a slot may be packed, where that pays; see `Adaptation.by_vector`.
        encoded: (batch, source, d_model), the encoder's states of the inputs where they are at hand, not packed.
    """
    rows = _Rows.of(batch.slot, batch.gold) if packed and encoded is None and can_pack(backbone) else None
    states = _encoded(backbone, batch, within, rows) if encoded is None else _States(encoded)
    examples, choices, longest = batch.choice_ids.shape
    together = max(1, tokens // (examples * longest))

    def decoded(first: int, vectors: Tensor) -> tuple[Tensor, Tensor]:
        part = slice(first, first + together)
        return _score_tokens(backbone, replace(states, vectors=vectors), batch, part, complement, within, before)

    if choices <= together:
        return ChoiceScores(*decoded(0, states.vectors))
    if torch.is_grad_enabled():
        dropout = backbone.training
        parts = [
            checkpoint(decoded, first, states.vectors, use_reentrant=False, preserve_rng_state=dropout)
            for first in range(0, choices, together)
        ]
    else:
        parts = [decoded(first, states.vectors) for first in range(0, choices, together)]
    return ChoiceScores(*(torch.cat(of_parts, dim=1) for of_parts in zip(*parts, strict=True)))


@dataclass(frozen=True)
class _Rows:
    """Into which rows examples can be packed: one for each slot."""

    row: Tensor
    """(batch,), of each example"""
    example: Tensor
    """(rows,), an example of each row"""

    @classmethod
    def of(cls, slot: Tensor | None, like: Tensor) -> "_Rows":
        if slot is None:
            return cls(torch.zeros_like(like), torch.zeros_like(like[:1]))
        slots, row = slot.unique(return_inverse=True)
        places = torch.arange(len(row), device=row.device)
        example = torch.empty_like(slots).scatter_reduce_(0, row, places, "amin", include_self=False)
        return cls(row, example)


@dataclass(frozen=True)
class _States:
    """The encoder's."""

    vectors: Tensor
    """(batch, prompts + source, d_model), or as they are packed"""
    rows: _Rows | None = None
    packing: Packing | None = None

    @property
    def width(self) -> int:
        """Of an example: prompts + source."""
        return (self.vectors if self.packing is None else self.packing.place).shape[1]

    def apart(self) -> Tensor:
        """(batch, prompts + source, d_model)"""
        return self.vectors if self.packing is None else self.packing.apart(self.vectors)


def _costs(backbone: T5ForConditionalGeneration, ids: Tensor, *, decoder: bool) -> PassCosts:
    return PassCosts.of(backbone.config, ids.device.type, decoder=decoder)


def can_pack(backbone: T5ForConditionalGeneration) -> bool:
    """Whether both stacks go their own way: neither compiled, nor hooked where they would not be called."""
    stacks = (backbone.encoder, backbone.decoder)
    return all(isinstance(s, FusedStack) and "forward" not in vars(s) and s.is_fused() for s in stacks)


def _encoded(backbone: T5ForConditionalGeneration, batch: ChoiceBatch, within: Within, rows: _Rows | None) -> _States:
    """The encoder's states; without gradients, those of equal inputs made once."""
    ids, mask, first, place = batch.input_ids, batch.input_mask, None, None
    if batch.twin is not None and not torch.is_grad_enabled():
        first, place = batch.twin.unique(return_inverse=True)
        ids, mask = ids[first], mask[first]
    packing = None if rows is None else Packing.of(mask, rows.row if first is None else rows.row[first])
    if rows is None or packing is None or not packing.pays(_costs(backbone, ids, decoder=False)):
        with within(first):
            states: Tensor = backbone.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return _States(states if place is None else states[place])
    with within(rows.example):
        states = backbone.encoder(input_ids=packing.ids(ids), attention_mask=mask, packing=packing).last_hidden_state
    return _States(states, rows, packing if place is None else packing.take(place))


def _score_tokens(
    backbone: T5ForConditionalGeneration,
    states: _States,
    batch: ChoiceBatch,
    part: slice,
    complement: bool,
    within: Within,
    before: int,
) -> tuple[Tensor, Tensor]:
    """What `ChoiceScores` holds, for some of the choices: (batch, part, tokens) each.

    Args:
        states: of the encoder.
        part: of the choices.
        within: see `Within`.
        before: vectors that the adaptation puts before the decoder's input.
    """
    mask = batch.choice_mask[:, part]
    ids = batch.choice_ids[:, part]
    wrong = (mask & ~_is_gold(batch)[:, part]) if complement else None
    if pays(backbone.decoder, mask, before):
        hidden, state = _side_by_side(backbone, states, batch.input_mask, ids, mask, within, before)
    else:
        hidden, state = _one_below_another(backbone, states.apart(), batch.input_mask, ids, mask, within)
    if backbone.config.scale_decoder_outputs:
        hidden = hidden * backbone.model_dim**-0.5
    log_p, log_complement = token_scores(
        backbone.lm_head, hidden, state, ids[mask], None if wrong is None else wrong[mask]
    )
    zeros = torch.zeros(mask.shape, dtype=log_p.dtype, device=log_p.device)
    scores = zeros.masked_scatter(mask, log_p)
    if wrong is None or log_complement is None:
        return scores, zeros
    return scores, zeros.masked_scatter(wrong, log_complement)


def _side_by_side(
    backbone: T5ForConditionalGeneration,
    states: _States,
    input_mask: Tensor,
    ids: Tensor,
    mask: Tensor,
    within: Within,
    before: int,
) -> tuple[Tensor, Tensor]:
    """The states under which tokens are scored, and which of them each token is scored under.

    Args:
        states: of the encoder.
        input_mask: (batch, source), True on tokens.
        ids: (batch, choices, tokens).
        mask: (batch, choices, tokens), True on tokens.
        within: see `Within`.
        before: vectors that the adaptation puts before the decoder's input: of many, rows are alike.

    Returns:
        (states, d_model) and (tokens,).
    """
    layout = side_by_side(ids, mask, DECODER_START, alike=before > 0)
    input_ids, rows, packing = layout.ids, states.rows, None
    if rows is not None:
        packing = Packing.of(layout.present, rows.row)
        if len(rows.example) == 1 and not packing.pays(_costs(backbone, ids, decoder=True)):
            packing = None  # several slots are told apart by rows
    if packing is not None:
        input_ids = packing.ids(input_ids)
    with within(None if rows is None else rows.example):
        decoded: Tensor = backbone.decoder(
            input_ids=input_ids,
            **_from_encoder(states.vectors, input_mask, states.width),
            position=layout.position,
            sequence=layout.sequence,
            packing=packing,
            encoder_packing=states.packing,
        ).last_hidden_state
    present, state = layout.present.flatten(), layout.state
    if packing is not None:
        present, state = packing.used, packing.place.flatten()[state]
    hidden = decoded.flatten(0, 1)
    if bool(present.all()):
        return hidden, state
    return hidden[present], (present.cumsum(0) - 1)[state]


def _one_below_another(
    backbone: T5ForConditionalGeneration, states: Tensor, input_mask: Tensor, ids: Tensor, mask: Tensor, within: Within
) -> tuple[Tensor, Tensor]:
    """The same as `_side_by_side`; states: (batch, prompts + source, d_model)."""
    examples, choices, tokens = ids.shape
    rows = ids.reshape(examples * choices, tokens)
    with within(None), _shared_cross_attention(backbone.decoder, choices):
        decoded: Tensor = backbone.decoder(
            input_ids=F.pad(rows[:, :-1], (1, 0), value=DECODER_START),
            **_from_encoder(states, input_mask, states.shape[1]),
        ).last_hidden_state  # (batch x choices, tokens, d_model)
    return _needed(decoded.view(examples, choices, tokens, -1), mask, backbone.training)


def _from_encoder(states: Tensor, input_mask: Tensor, width: int) -> dict[str, Any]:
    """What the decoder is given of the encoder.

    Args:
        states: as they are, packed or not.
        input_mask: (batch, source), True on tokens.
        width: of the states of an example, with what an adaptation has put before its input.
    """
    widened = F.pad(input_mask, (width - input_mask.shape[1], 0), value=True)
    lowest = torch.finfo(states.dtype).min
    additive = torch.zeros(widened.shape, dtype=states.dtype, device=states.device).masked_fill(~widened, lowest)
    return {
        "encoder_hidden_states": states,
        "encoder_attention_mask": additive[:, None, None],
        "use_cache": False,
    }


def _needed(decoded: Tensor, mask: Tensor, dropout: bool) -> tuple[Tensor, Tensor]:
    """The states under which tokens are scored, and which of them each token is scored under.

    The first token of every choice of an example is scored under one state, as all of them follow the same start.

    Args:
        decoded: (batch, choices, tokens, d_model).
        mask: (batch, choices, tokens), True on tokens.
        dropout: whether equal states may have been made different.

    Returns:
        (states, d_model) and (chosen,).
    """
    if dropout:
        hidden = decoded[mask]
        return hidden, torch.arange(len(hidden), device=mask.device)
    later = mask.clone()
    later[:, :, 0] = False
    state = later.flatten().cumsum(0).view(mask.shape) + (len(mask) - 1)
    state[:, :, 0] = torch.arange(len(mask), device=mask.device)[:, None]
    return torch.cat([decoded[:, 0, 0], decoded[later]]), state[mask]


def _is_gold(batch: ChoiceBatch) -> Tensor:
    """(batch, choices, 1), True at the correct choice."""
    choices = torch.arange(batch.choice_ids.shape[1], device=batch.gold.device)
    return (choices == batch.gold[:, None])[:, :, None]


@contextmanager
def _shared_cross_attention(decoder: nn.Module, choices: int) -> Iterator[None]:
    """Within it, cross-attention sees an example's choices side by side, over one set of keys and values."""

    def side_by_side(_module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> Any:
        rows, tokens, width = inputs[0].shape
        return (inputs[0].reshape(rows // choices, choices * tokens, width), *inputs[1:]), named

    def one_below_another(_module: nn.Module, _inputs: Any, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        batch, tokens, width = output[0].shape
        return (output[0].reshape(batch * choices, tokens // choices, width), *output[1:])

    attentions = [block.layer[1].EncDecAttention for block in decoder.block]  # type: ignore[union-attr]
    handles = [a.register_forward_pre_hook(side_by_side, with_kwargs=True) for a in attentions]
    handles += [a.register_forward_hook(one_below_another) for a in attentions]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
