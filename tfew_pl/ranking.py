"""Scoring answer choices: the inner loop of training and evaluation.

The encoder runs once an input, and in an evaluation once for equal ones. The choices of an example share its
cross-attention keys and values: for the cross-attention alone, the decoder's states go from (batch x choices, tokens)
to (batch, choices x tokens). The language-model head runs only where a choice has a token; see `fused_head`.
Where an adaptation puts vectors before the decoder's input, the choices stand one after another behind a single copy of
them, and do not see each other.
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

from tfew_pl.fused_head import token_scores
from tfew_pl.fused_stack import FusedStack

DECODER_START = 0
"""T5's decoder starts from the padding token."""
CHOICE_TOKENS = 8192
"""Tokens of choices, padding counted, that are decoded at once. The held-out tasks stay below it in training."""
Within = Callable[[Tensor | None], AbstractContextManager[None]]
"""What is entered for a pass through the backbone of some examples of a batch, (taken,) indices, or None for all."""


def _as_it_is(_examples: Tensor | None) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass
class ChoiceBatch:
    """Inputs with their answer choices, padded.

    Symbols: batch, source (tokens of the longest input), choices (the most of any example), tokens (of the
    longest choice, EOS included).
    """

    input_ids: Tensor
    """(batch, source)"""
    input_mask: Tensor
    """(batch, source), True on tokens"""
    choice_ids: Tensor
    """(batch, choices, tokens)"""
    choice_mask: Tensor
    """(batch, choices, tokens), True on tokens; a choice that an example does not have is False throughout"""
    gold: Tensor
    """(batch,), index of the correct choice"""
    key: Tensor
    """(batch, 3), template, example and context, by which scores are told apart"""
    slot: Tensor | None = None
    """(batch,), the slot each example uses; None for slot 0 throughout"""
    kept: Tensor | None = None
    """(context,), ids of the context before all of the inputs, which is read once; None where there is none"""
    offset: Tensor | None = None
    """(batch, choices), what calibration takes from the scores; None for nothing"""
    twin: Tensor | None = None
    """(batch,), the first example with the same input and slot; None where there are no two"""

    def take(self, examples: Tensor) -> "ChoiceBatch":
        """Some of the examples, (taken,) indices, without the padding that they do not need."""
        input_mask, choice_mask = self.input_mask[examples], self.choice_mask[examples]
        source = int(input_mask.any(0).sum())
        choices, tokens = (int(choice_mask.any(2).any(0).sum()), int(choice_mask.any(1).any(0).sum()))
        return ChoiceBatch(
            input_ids=self.input_ids[examples, :source],
            input_mask=input_mask[:, :source],
            choice_ids=self.choice_ids[examples, :choices, :tokens],
            choice_mask=choice_mask[:, :choices, :tokens],
            gold=self.gold[examples],
            key=self.key[examples],
            slot=None if self.slot is None else self.slot[examples],
        )

    def only_gold(self) -> "ChoiceBatch":
        """The same inputs with the correct choice alone, without the padding that it does not need."""
        examples = torch.arange(len(self.gold), device=self.gold.device)
        choice_mask = self.choice_mask[examples, self.gold]
        tokens = int(choice_mask.any(0).sum())
        return replace(
            self,
            choice_ids=self.choice_ids[examples, self.gold, None, :tokens],
            choice_mask=choice_mask[:, None, :tokens],
            gold=torch.zeros_like(self.gold),
            offset=None,
        )

    def to(self, device: torch.device) -> "ChoiceBatch":
        """The same on another device."""
        return ChoiceBatch(*(None if t is None else t.to(device) for t in vars(self).values()))  # type: ignore[arg-type]


@dataclass
class ChoiceScores:
    """Log-probabilities of the choices' tokens, 0 where there is no token."""

    log_probability: Tensor
    """(batch, choices, tokens), log p"""
    log_complement: Tensor
    """(batch, choices, tokens), log(1 - p) of wrong choices' tokens, exact also for p near 1; 0 elsewhere"""

    def total(self, mask: Tensor, length_normalized: bool) -> Tensor:
        """Scores of the choices: log-probability, over the number of tokens if normalized (beta, Eq. 2).

        Args:
            mask: (batch, choices, tokens)

        Returns:
            (batch, choices), minus infinity for a choice that an example does not have.
        """
        lengths = mask.sum(-1)  # (batch, choices)
        total = self.log_probability.sum(-1)
        if length_normalized:
            total = total / lengths.clamp(min=1)
        return total.masked_fill(lengths == 0, float("-inf"))


def score_choices(
    backbone: T5ForConditionalGeneration,
    batch: ChoiceBatch,
    complement: bool = False,
    *,
    within: Within = _as_it_is,
    tokens: int = CHOICE_TOKENS,
    before: int = 0,
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
    """
    states = _encoded(backbone, batch, within)
    examples, choices, longest = batch.choice_ids.shape
    together = max(1, tokens // (examples * longest))

    def decoded(first: int, states: Tensor) -> tuple[Tensor, Tensor]:
        with within(None):
            return _score_tokens(backbone, states, batch, slice(first, first + together), complement, before)

    if choices <= together:
        return ChoiceScores(*decoded(0, states))
    if torch.is_grad_enabled():
        dropout = backbone.training
        parts = [
            checkpoint(decoded, first, states, use_reentrant=False, preserve_rng_state=dropout)
            for first in range(0, choices, together)
        ]
    else:
        parts = [decoded(first, states) for first in range(0, choices, together)]
    return ChoiceScores(*(torch.cat(of_parts, dim=1) for of_parts in zip(*parts, strict=True)))


def _encoded(backbone: T5ForConditionalGeneration, batch: ChoiceBatch, within: Within) -> Tensor:
    """(batch, prompts + source, d_model), the encoder's states; without gradients, those of equal inputs made once."""

    def states(examples: Tensor | None, ids: Tensor, mask: Tensor) -> Tensor:
        with within(examples):
            found: Tensor = backbone.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return found

    if batch.twin is None or torch.is_grad_enabled():
        return states(None, batch.input_ids, batch.input_mask)
    first, place = batch.twin.unique(return_inverse=True)
    return states(first, batch.input_ids[first], batch.input_mask[first])[place]


def _score_tokens(
    backbone: T5ForConditionalGeneration,
    states: Tensor,
    batch: ChoiceBatch,
    part: slice,
    complement: bool,
    before: int,
) -> tuple[Tensor, Tensor]:
    """What `ChoiceScores` holds, for some of the choices: (batch, part, tokens) each.

    Args:
        states: (batch, prompts + source, d_model), of the encoder.
        part: of the choices.
        before: vectors that the adaptation puts before the decoder's input.
    """
    mask = batch.choice_mask[:, part]
    ids = batch.choice_ids[:, part]
    wrong = (mask & ~_is_gold(batch)[:, part]) if complement else None
    examples, choices, tokens = ids.shape
    rows = ids.reshape(examples * choices, tokens)
    inputs: dict[str, Any] = {
        "input_ids": F.pad(rows[:, :-1], (1, 0), value=DECODER_START),
        "encoder_hidden_states": states,
        "encoder_attention_mask": _additive(_widened(batch.input_mask, states.shape[1]), states.dtype),
        "use_cache": False,
    }
    if _share_before(backbone.decoder, before, choices, tokens):
        inputs["input_ids"] = inputs["input_ids"].view(examples, choices * tokens)
        decoded = backbone.decoder(**inputs, side_by_side=(choices, tokens)).last_hidden_state
    else:
        with _shared_cross_attention(backbone.decoder, choices):
            decoded = backbone.decoder(**inputs).last_hidden_state  # (batch x choices, tokens, d_model)
    hidden, state = _needed(decoded.view(examples, choices, tokens, -1), mask, backbone.training)
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


def _share_before(decoder: nn.Module, before: int, choices: int, tokens: int) -> bool:
    """Whether an example's choices stand behind one copy of what is before them: it can be done, and pays.

    Every vector is run once instead of once a choice; attention between all of them must not cost more than that.
    Dropout would drop the same of the copy for all choices.
    """
    if not before or choices == 1 or decoder.training:
        return False
    together, apart = (before + choices * tokens) ** 2, choices * (before + tokens) ** 2
    return together <= apart and isinstance(decoder, FusedStack) and decoder.is_fused()


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


def _widened(mask: Tensor, width: int) -> Tensor:
    """(batch, source) -> (batch, width): True for what an adaptation has put before the input."""
    return F.pad(mask, (width - mask.shape[1], 0), value=True)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """(batch, source) -> (batch, 1, 1, source), the smallest number where there is no token, else 0."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)[
        :, None, None
    ]


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
