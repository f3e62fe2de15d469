"""What is scored, a batch of inputs with their answer choices, and what comes out of it, scores of their tokens."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


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
