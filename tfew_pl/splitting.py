"""Splitting a training batch into parts of similar length: what padding costs against what a part costs."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfew_pl.choices import ChoiceBatch, ChoiceScores
from tfew_pl.pass_costs import PassCosts

PART_COST = 4e8
"""What a forward and backward pass costs beside its tokens on a CPU, in parameters x tokens: some 10 ms of a core."""
LEAST_OVERHEAD = 128
"""Tokens: matrix products of fewer rows are slower, whatever the model."""


def overhead_in_tokens(model: nn.Module) -> float:
    """What a pass through the model costs beside its tokens, in tokens."""
    return max(LEAST_OVERHEAD, PART_COST / sum(p.numel() for p in model.parameters()))


def split_by_length(mask: Tensor, overhead: float, costs: PassCosts, *, packed: bool) -> list[Tensor]:
    """The cheapest split of a batch into parts of neighboring lengths; on other devices than a CPU, no split.

    Args:
        mask: (batch, source), True on tokens.
        overhead: what a part costs beside its tokens, in tokens.
        costs: of the encoder.
        packed: whether parts are packed where that pays.

    Returns:
        (part,) indices of examples, together every example once.
    """
    everything = torch.arange(len(mask), device=mask.device)
    if mask.device.type != "cpu" or int((~mask).sum()) <= overhead:
        return [everything]
    lengths, order = mask.sum(1).sort(stable=True)
    longest: Sequence[int] = lengths.tolist()
    total = [0, *itertools.accumulate(longest)]

    def cost(start: int, end: int) -> float:
        width, sequences = longest[end - 1], end - start
        padded = costs.padded(sequences, width)
        least = min(padded, costs.packed(total[end] - total[start], sequences, width)) if packed else padded
        return overhead + least / costs.vector

    cheapest: list[tuple[float, int]] = [(0.0, 0)]  # of the first examples: the cost, and where the last part starts
    for end in range(1, len(longest) + 1):
        cheapest.append(min((cheapest[start][0] + cost(start, end), start) for start in range(end)))
    parts, end = [], len(longest)
    while end:
        start = cheapest[end][1]
        parts.append(order[start:end])
        end = start
    return parts[::-1]


def joined(batch: ChoiceBatch, parts: Sequence[Tensor], scores: Sequence[ChoiceScores]) -> ChoiceScores:
    """The scores of a batch from those of its parts."""
    _, choices, tokens = batch.choice_mask.shape

    def padded(values: Tensor) -> Tensor:
        return F.pad(values, (0, tokens - values.shape[2], 0, choices - values.shape[1]))

    place = torch.cat(list(parts)).argsort()
    return ChoiceScores(
        log_probability=torch.cat([padded(one.log_probability) for one in scores])[place],
        log_complement=torch.cat([padded(one.log_complement) for one in scores])[place],
    )
