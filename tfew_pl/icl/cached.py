"""Scoring answer choices behind contexts that are read once.

A causal language model's keys and values of a context do not depend on what follows it (Section 2.1), so that they
are computed once and kept. An encoder-decoder that reads the query in its decoder needs the context's encoder states
alone.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Cache, PreTrainedModel

from tfew_pl.causal import keeps_nothing
from tfew_pl.choices import ChoiceBatch, ChoiceScores
from tfew_pl.errors import UserError
from tfew_pl.ranking import score_choices

ROW_TOKENS = 8192
"""Tokens of rows that are scored at once. A row is an answer behind its query, with a copy of its context's keys and
values, whose tokens count too."""


class CachedContexts:
    """A backbone that reads queries behind kept contexts.

    Args:
        backbone: a causal language model, or a T5 that reads queries in its decoder.
        tokens: see `ROW_TOKENS`; at least a row is scored at a time.
    """

    def __init__(self, backbone: PreTrainedModel, tokens: int = ROW_TOKENS) -> None:
        self._backbone = backbone
        self._tokens = tokens
        self._kept: tuple[tuple[int, ...], Any] | None = None

    def score(self, batch: ChoiceBatch) -> ChoiceScores:
        """Scores every token of every choice of every example, all of which share the batch's context."""
        query = _Query(batch)
        if self._backbone.config.is_encoder_decoder:
            return query.scores(self._behind_encoder(batch, query))
        return query.scores(self._behind_cache(batch, query))

    def _behind_encoder(self, batch: ChoiceBatch, query: "_Query") -> Tensor:
        """(rows, width), log-probabilities of the rows' tokens: one input, whose choices are query and answer."""
        context = _kept(batch)[None]
        encoder: Any = self._backbone.encoder
        states = self._once(context, lambda: encoder(input_ids=context).last_hidden_state)
        side_by_side = ChoiceBatch(
            input_ids=context,
            input_mask=torch.ones_like(context, dtype=torch.bool),
            choice_ids=query.ids[None],
            choice_mask=query.present[None],
            gold=batch.gold.new_zeros(1),
            key=batch.key[:1],
        )
        scores = score_choices(self._backbone, side_by_side, encoded=states)  # type: ignore[arg-type]
        return scores.log_probability[0]

    def _behind_cache(self, batch: ChoiceBatch, query: "_Query") -> Tensor:
        """(rows, width), log-probabilities of the rows' answers behind the context's keys and values.

        Some rows after another, so that memory does not grow with the number of choices.
        """
        if bool(query.mask[:, 0].any()):
            raise UserError("this tokenizer has no token for the end of a line, which stands between query and answer")
        context = _kept(batch)
        past = self._cache(context)
        width = query.ids.shape[1]
        found = torch.zeros(query.ids.shape, device=query.ids.device)
        together = max(1, self._tokens // (len(context) + width))
        for rows in query.present.any(1).nonzero()[:, 0].split(together):
            end = int(query.present[rows].sum(1).max())  # rows are padded on the right, where no token looks
            found[rows, :end] = self._answers(query.ids[rows, :end], query.mask[rows, :end], past)
        return found

    def _answers(self, ids: Tensor, mask: Tensor, past: Any) -> Tensor:
        """(rows, width), log-probabilities of answers.

        Args:
            ids: (rows, width), of queries with their answers.
            mask: (rows, width), True on the tokens of answers.
            past: keys and values of the context; None for an empty one.
        """
        first = int(mask.any(0).nonzero()[0])  # at which any row has a token of its answer
        if past is not None:
            past = copy.deepcopy(past)  # the model appends to it
            past.batch_repeat_interleave(len(ids))
        logits = self._backbone(input_ids=ids, past_key_values=past, use_cache=past is not None,
                                logits_to_keep=ids.shape[1] - first + 1).logits  # fmt: skip
        logits = logits[:, :-1].float()  # (rows, width - first, vocabulary), each of the next token
        chosen = logits.gather(-1, ids[:, first:, None])[..., 0] - logits.logsumexp(-1)
        return F.pad(chosen, (first, 0)) * mask

    def _cache(self, context: Tensor) -> Any:
        """Keys and values of a context, (context,); None for an empty one."""
        if not context.numel():
            return None
        read = partial(self._backbone, input_ids=context[None], use_cache=True, logits_to_keep=1)
        past = self._once(context, lambda: read().get("past_key_values"))
        if not isinstance(past, Cache):
            raise keeps_nothing(self._backbone.config.model_type)
        return past

    def _once(self, context: Tensor, read: Callable[[], Any]) -> Any:
        """What is read of a context, which is done when it is another than the last."""
        key = tuple(context.flatten().tolist())
        if self._kept is None or self._kept[0] != key:
            with torch.no_grad():  # nothing is trained behind a context
                self._kept = key, read()
        return self._kept[1]


def _kept(batch: ChoiceBatch) -> Tensor:
    """(context,), the ids of the context that the batch's examples share."""
    if batch.kept is None:
        raise ValueError("a batch with a kept context is needed")
    return batch.kept


class _Query:
    """Every choice of a batch behind its own query, a row each.

    Symbols: rows (batch x choices), width (the longest query and the longest choice together).
    """

    def __init__(self, batch: ChoiceBatch) -> None:
        examples, choices, tokens = batch.choice_ids.shape
        lengths = batch.input_mask.sum(1)  # (batch,)
        width = batch.input_ids.shape[1] + tokens
        places = (lengths[:, None, None] + torch.arange(tokens, device=lengths.device)).expand_as(batch.choice_ids)
        ids = torch.cat([batch.input_ids, batch.input_ids.new_zeros(examples, tokens)], dim=1)
        ids = ids[:, None].expand(examples, choices, width).scatter(2, places, batch.choice_ids)
        mask = torch.zeros_like(ids, dtype=torch.bool).scatter(2, places, batch.choice_mask)
        self._places = places
        self._choice_mask = batch.choice_mask
        self.ids = ids.reshape(examples * choices, width)
        """(rows, width)"""
        self.mask = mask.view(examples * choices, width)
        """(rows, width), True on the tokens of the choice"""
        tokens_of_choice = batch.choice_mask.sum(2)  # (batch, choices)
        ends = (lengths[:, None] + tokens_of_choice) * (tokens_of_choice > 0)
        self.present = torch.arange(width, device=lengths.device) < ends.view(-1, 1)
        """(rows, width), True on the tokens of the query and of the choice, where there is one"""

    def scores(self, rows: Tensor) -> ChoiceScores:
        """Log-probabilities of rows, (rows, width), as those of choices."""
        examples, choices, _ = self._places.shape
        scores = rows.view(examples, choices, -1).gather(2, self._places) * self._choice_mask
        return ChoiceScores(scores, torch.zeros_like(scores))
