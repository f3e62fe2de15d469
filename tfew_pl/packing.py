"""Sequences one after another in rows without padding, for all of a model but its attention.

Padding is a quarter of a batch whose inputs are not sorted by length, and linear maps, norms and feed-forwards, which
take most of the time of a large model, do not need it. A row holds sequences of one slot, so that whatever goes by rows
goes by them.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tfew_pl.pass_costs import PassCosts


@dataclass(frozen=True)
class Packing:
    """Where the vectors of padded sequences stand in rows.

    Symbols: sequences, longest (of them), rows, width (of the fullest row).
    """

    place: Tensor
    """(sequences, longest), the place of each vector among rows x width; of padding, any."""
    origin: Tensor
    """(rows, width), the place of each vector among sequences x longest; of padding, any."""
    used: Tensor
    """(rows x width,), True where there is a vector."""
    padding: Tensor
    """(padding,), the places among sequences x longest that hold no vector."""
    unused: Tensor
    """(unused,), the places among rows x width that hold no vector."""

    @classmethod
    def of(cls, mask: Tensor, row: Tensor) -> "Packing":
        """Packs sequences in their order.

        Args:
            mask: (sequences, longest), True on vectors, which are at the beginning.
            row: (sequences,), in which row each is to stand; every row has one.
        """
        sequences, longest = mask.shape
        lengths = mask.sum(1)
        order = row.argsort(stable=True)
        behind = lengths[order].cumsum(0) - lengths[order]  # lengths of all sequences before, rows before included
        count = row.bincount()
        first = count.cumsum(0) - count  # (rows,), of `order`
        start = torch.empty_like(behind).index_copy_(0, order, behind - behind[first][row[order]])
        totals = torch.zeros_like(count).index_add_(0, row, lengths)
        rows, width = len(count), int(totals.max())
        place = (row * width + start)[:, None] + torch.arange(longest, device=mask.device)
        every = torch.arange(sequences * longest, device=mask.device).view(sequences, longest)
        origin = torch.zeros(rows * width, dtype=torch.long, device=mask.device)
        origin[place[mask]] = every[mask]
        place.clamp_(max=rows * width - 1)  # padding
        used = (torch.arange(width, device=mask.device) < totals[:, None]).flatten()
        return cls(place, origin.view(rows, width), used, every[~mask], (~used).nonzero()[:, 0])

    def pays(self, costs: PassCosts) -> bool:
        """Whether a pass through packed rows takes less time than one through padded sequences."""
        sequences, longest = self.place.shape
        return costs.packed(self.origin.numel(), sequences, longest) <= costs.padded(sequences, longest)

    def take(self, sequences: Tensor) -> "Packing":
        """The same rows seen as other sequences, (taken,) indices that may repeat; not for gradients."""
        return replace(self, place=self.place[sequences])

    def apart(self, x: Tensor) -> Tensor:
        """(rows, width, dimension) -> (sequences, longest, dimension), any vectors in the place of padding.

        Of padding no gradient comes back.
        """
        padded: Tensor = _Gathered.apply(x, self.place, self.origin, self.unused)
        return padded

    def together(self, x: Tensor) -> Tensor:
        """(sequences, longest, dimension) -> (rows, width, dimension), any vectors where none belongs.

        Of these no gradient comes back.
        """
        packed: Tensor = _Gathered.apply(x, self.origin, self.place, self.padding)
        return packed

    def ids(self, ids: Tensor) -> Tensor:
        """(sequences, longest) -> (rows, width)"""
        return ids.flatten()[self.origin]


class _Gathered(torch.autograd.Function):
    """Vectors at other places; the backward pass gathers too, as one's places are the inverse of the other's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, back: Tensor, without: Tensor) -> Tensor:
        ctx.save_for_backward(back, without)
        return x.flatten(0, 1).index_select(0, places.flatten()).view(*places.shape, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        back, without = ctx.saved_tensors
        of_x = gradient.flatten(0, 1).index_select(0, back.flatten())
        if len(without):
            of_x.index_fill_(0, without, 0)
        return of_x.view(*back.shape, -1), None, None, None
