"""Adafactor for some entries of tensors of which the others stand still, without a tensor of the whole's size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

CLIP_THRESHOLD = 1.0
"""d: largest root mean square of an update (Alg. 4)."""
EPSILON_GRADIENT = 1e-30
"""epsilon_1: keeps squared gradients positive."""
EPSILON_SCALE = 1e-3
"""epsilon_2: the least scale of a parameter, so that one that starts at zero moves."""


@dataclass(frozen=True)
class Entries:
    """Where the values of a parameter, (1, k), stand in a matrix or vector."""

    shape: torch.Size
    """Of the whole."""
    places: Tensor
    """(k,), in its flattened form"""
    others: Tensor
    """(), the sum of squares of the values that stand still"""


class EntriesUpdate:
    """The updates that Adafactor gives to whole tensors whose gradient is zero but for some entries.

    Averages over rows and columns, and root mean squares, are those of the whole tensors. All tensors are updated in
    one go. With k entries in tensors of R rows and C columns in all, memory in bytes is 24 k + 8 (R + C) for places,
    4 (R + C) for the averages, and some 40 k at a time. A vector is a matrix of one column, which gives the averages
    of its entries; a parameter without a gradient has one of zero.

    Args:
        entries: of each parameter.
    """

    def __init__(self, entries: Mapping[nn.Parameter, Entries]) -> None:
        self.parameters: Sequence[nn.Parameter] = list(entries)
        device = self.parameters[0].device
        found = list(entries.values())
        heights = [one.shape[0] for one in found]
        widths = [one.shape[1:].numel() for one in found]
        self._counts = [len(one.places) for one in found]
        self._heights, self._widths, counts = (
            torch.tensor(sizes, device=device) for sizes in (heights, widths, self._counts)
        )
        self._sizes = self._heights * self._widths
        self._others = torch.stack([one.others.to(device) for one in found])
        numbers = torch.arange(len(found), device=device)
        self._of_entry, self._of_row, self._of_column = (
            numbers.repeat_interleave(sizes) for sizes in (counts, self._heights, self._widths)
        )
        places = torch.cat([one.places for one in found]).long()
        width = self._widths[self._of_entry]
        self._row = places // width + (self._heights.cumsum(0) - self._heights)[self._of_entry]
        self._column = places % width + (self._widths.cumsum(0) - self._widths)[self._of_entry]

    def step(self, state: dict[str, Any], lr: float, decay: float, scale_parameter: bool) -> None:
        """Moves the parameters, and the averages in `state`: `row`, (R,), and `column`, (C,)."""
        gradient = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad)[0].float() for p in self.parameters])
        squared = gradient.square()
        averages = []
        for name, place, of, across in (
            ("row", self._row, self._of_row, self._widths),
            ("column", self._column, self._of_column, self._heights),
        ):
            sums = squared.new_zeros(len(of)).index_add_(0, place, squared)
            if name not in state:
                state[name] = torch.zeros_like(sums)
            averages.append(state[name].lerp_(sums / across[of] + EPSILON_GRADIENT, 1.0 - decay))
        rows, columns = averages
        means = self._sum(rows, self._of_row) / self._heights
        factor = (rows[self._row] / means[self._of_entry]).rsqrt() * columns[self._column].rsqrt()
        update = factor * gradient
        norm = (self._sum(update.square(), self._of_entry) / self._sizes).sqrt()
        size = 1.0 / (norm / CLIP_THRESHOLD).clamp(min=1.0)
        if scale_parameter:
            values = torch.cat([p.detach()[0].float() for p in self.parameters])
            whole = self._others + self._sum(values.square(), self._of_entry)
            size = size * (whole / self._sizes).sqrt().clamp(min=EPSILON_SCALE)
        update = update * size[self._of_entry]
        steps = [one.unsqueeze(0) for one in update.to(self.parameters[0].dtype).split(self._counts)]
        torch._foreach_add_(list[Tensor](self.parameters), steps, alpha=-lr)

    def _sum(self, values: Tensor, of: Tensor) -> Tensor:
        """(tensors,), the values' sums, exact also of many."""
        sums = values.new_zeros(len(self.parameters), dtype=torch.float64)
        return sums.index_add_(0, of, values.double()).to(values.dtype)
