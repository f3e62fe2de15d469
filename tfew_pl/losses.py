"""T-Few's three losses (Section 3.2). Each returns one value a slot, so that slots never mix.

A mean is taken over a whole batch, wherever its examples are: of a batch that is divided among devices, a device's
value is its sum over the mean of the devices' counts, so that the mean of the devices' values, and so of their
gradients, is that of the batch on one device.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tfew_pl.choices import ChoiceBatch, ChoiceScores

RELEASE_OFFSET = 0.01
"""What the release adds inside the unlikelihood's logarithm."""
Counts = Callable[[Tensor], Tensor]
"""Counts of a device, (slots,), to their mean over the devices."""


def one_device(counts: Tensor) -> Tensor:
    """The counts where there is no other device."""
    return counts


def _pooled(values: Tensor, counts: Tensor, batch: ChoiceBatch, slots: int, over_devices: Counts) -> Tensor:
    """Sums over the examples of a slot, divided: (batch,), (batch,) -> (slots,). An empty slot gives 0."""
    if batch.slot is None:
        total, count = F.pad(values.sum()[None], (0, slots - 1)), F.pad(counts.sum()[None], (0, slots - 1))
    else:
        zeros = values.new_zeros(slots)
        total = zeros.index_add(0, batch.slot, values)
        count = zeros.index_add(0, batch.slot, counts.to(zeros.dtype))
    count = over_devices(count)
    return total / count.masked_fill(count == 0, 1)


def lm_loss(scores: ChoiceScores, batch: ChoiceBatch, slots: int = 1, *, over_devices: Counts = one_device) -> Tensor:
    """L_LM: mean negative log-probability of the correct choices' tokens, pooled over the batch.

    Returns:
        (slots,)
    """
    examples = torch.arange(len(batch.gold), device=batch.gold.device)
    values = -scores.log_probability[examples, batch.gold].sum(-1)  # (batch,)
    return _pooled(values, batch.choice_mask[examples, batch.gold].sum(-1), batch, slots, over_devices)


def _wrong(batch: ChoiceBatch, eos: bool) -> Tensor:
    """(batch, choices, tokens), True on tokens of wrong choices."""
    examples = torch.arange(len(batch.gold), device=batch.gold.device)
    wrong = batch.choice_mask.clone()
    wrong[examples, batch.gold] = False
    if not eos:
        wrong[..., :-1] &= batch.choice_mask[..., 1:]  # a token that another one follows
        wrong[..., -1] = False
    return wrong


def unlikelihood_loss(
    scores: ChoiceScores, batch: ChoiceBatch, eos: bool = True, slots: int = 1, *, over_devices: Counts = one_device
) -> Tensor:
    """L_UL (Eq. 1): mean -log(1 - p) over the tokens of wrong choices, pooled over the batch.

    Args:
        eos: whether the choices' end-of-sequence tokens count.

    Returns:
        (slots,)
    """
    wrong = _wrong(batch, eos)
    values = -(scores.log_complement * wrong).sum((1, 2))
    return _pooled(values, wrong.sum((1, 2)), batch, slots, over_devices)


def release_unlikelihood_loss(
    scores: ChoiceScores, batch: ChoiceBatch, eos: bool = True, slots: int = 1, *, over_devices: Counts = one_device
) -> Tensor:
    """L_UL as the release computes it: mean -log(1 - p + 0.01) over the tokens of wrong choices.

    It leaves padding and the correct choice in the sum, each token as the constant -log(1 + 0.01), so that
    the value depends on padding and may be negative; the gradient does not.

    Returns:
        (slots,)
    """
    wrong = _wrong(batch, eos)
    per_token = -torch.log(1 - scores.log_probability.exp() + RELEASE_OFFSET)
    values = per_token.masked_fill(~wrong, -math.log1p(RELEASE_OFFSET)).sum((1, 2))
    return _pooled(values, wrong.sum((1, 2)), batch, slots, over_devices)


def length_norm_loss(
    scores: ChoiceScores, batch: ChoiceBatch, slots: int = 1, *, over_devices: Counts = one_device
) -> Tensor:
    """L_LN (Eq. 2): cross-entropy of the correct choice over length-normalized scores, mean over the batch.

    Returns:
        (slots,)
    """
    beta = scores.total(batch.choice_mask, length_normalized=True)  # (batch, choices)
    values = F.cross_entropy(beta, batch.gold, reduction="none")
    return _pooled(values, torch.ones_like(batch.gold), batch, slots, over_devices)
