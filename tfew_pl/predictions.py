"""Gathering the scores of answer choices over batches, contexts and devices."""

from typing import Literal

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class RankedChoices(Metric):
    """Predicted choices by slot, template and example.

    Predictions for one pair in several contexts are combined (ensemble in-context learning, Section 2.1). What a
    distributed sampler hands out twice counts once.

    Args:
        choices: the most answer choices of an example.
        combine: `product` adds the scores of a choice over contexts, which multiplies its probabilities; `mean`
            averages the probabilities, normalized over the choices of each context.
    """

    full_state_update = False
    keys: list[Tensor]
    scores: list[Tensor]

    def __init__(self, choices: int, combine: Literal["product", "mean"] = "product") -> None:
        super().__init__()
        self._choices = choices
        self._combine = combine
        self.add_state("keys", default=[], dist_reduce_fx="cat")
        self.add_state("scores", default=[], dist_reduce_fx="cat")

    def update(self, key: Tensor, gold: Tensor, scores: Tensor, slot: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            key: (batch, 3), template, example and context.
            gold: (batch,), the correct choice.
            scores: (batch, choices), of which some may be missing on the right.
            slot: (batch,); None for slot 0 throughout.
        """
        missing = self._choices - scores.shape[1]
        slot = torch.zeros_like(gold) if slot is None else slot
        self.keys.append(torch.cat([slot[:, None], key, gold[:, None]], dim=1))
        self.scores.append(F.pad(scores.float(), (0, missing), value=float("-inf")))

    def compute(self) -> Tensor:
        """(pairs, 5): slot, template, example, correct choice, predicted choice; sorted, each pair of a slot once."""
        keys, scores = dim_zero_cat(self.keys), dim_zero_cat(self.scores)
        unique, place = torch.unique(keys, dim=0, return_inverse=True)
        once = scores.new_empty(len(unique), self._choices).index_copy_(0, place, scores)
        if self._combine == "mean":
            once = once.softmax(-1)
        # Sorted by slot, template, example and context: the contexts of a pair are neighbors.
        pairs, contexts = torch.unique_consecutive(unique[:, [0, 1, 2, 4]], dim=0, return_counts=True)
        pair_of = torch.arange(len(pairs), device=keys.device).repeat_interleave(contexts)
        total = once.new_zeros(len(pairs), self._choices).index_add_(0, pair_of, once)
        return torch.cat([pairs, total.argmax(1, keepdim=True)], dim=1)

    def table(self, slot: int = 0) -> pd.DataFrame:
        """The same of a slot, as a table with the columns `template`, `example`, `gold` and `predicted`."""
        found = self.compute()
        values = found[found[:, 0] == slot, 1:].cpu().numpy()
        return pd.DataFrame(values, columns=["template", "example", "gold", "predicted"])
