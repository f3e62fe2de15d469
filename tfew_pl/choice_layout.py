"""How an example's choices stand in the decoder: one after another behind a single start, none of which sees another.

The start, with what an adaptation puts before it, is run once for all of them, and there is no padding but at a row's
end.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tfew_pl.fused_stack import FusedStack
from tfew_pl.pass_costs import PassCosts

_PADDING = -2


@dataclass(frozen=True)
class SideBySide:
    """Where an example's choices stand. Symbols: batch, length (of the longest row), tokens."""

    ids: Tensor
    """(batch, length), the decoder's input: the start, then each choice without its last token."""
    position: Tensor
    """(batch, length), how far from the start; (1, length) where rows are alike."""
    sequence: Tensor
    """As `position`: which choice, -1 for the start, which all of them see, and -2 for padding."""
    present: Tensor
    """(batch, length), True where a token is scored under the state."""
    state: Tensor
    """(tokens,), of each of the choices' tokens, the place among batch x length of what it is scored under."""


def side_by_side(ids: Tensor, mask: Tensor, start: int, *, alike: bool = False) -> SideBySide:
    """Puts each example's choices one after another.

    Args:
        ids: (batch, choices, tokens).
        mask: (batch, choices, tokens), True on tokens.
        start: id from which the decoder starts.
        alike: whether rows keep their padding, so that what attention adds to scores is one for all of them.
    """
    examples, choices, tokens = ids.shape
    read = mask[:, :, 1:]  # a choice's last token is not read
    stands = torch.ones_like(read) if alike else read
    place = stands.flatten(1).cumsum(1).view(read.shape)  # of each token that is read, in its row
    length = stands.flatten(1).sum(1) + 1  # (batch,)
    shape = (examples, int(length.max()))
    row, choice, token = stands.nonzero(as_tuple=True)
    at = (row, place[stands])

    def filled(first: int, rest: Tensor, padding: int) -> Tensor:
        full = torch.full(shape, padding, dtype=ids.dtype, device=ids.device)
        full[:, 0] = first
        full[at] = rest
        return full

    starts = torch.arange(examples, device=ids.device) * shape[1]
    state = starts[:, None, None].expand(examples, choices, tokens).clone()
    state[:, :, 1:] += place
    rows = 1 if alike else examples
    return SideBySide(
        ids=filled(start, ids[:, :, :-1][stands], start),
        position=filled(0, token + 1, 0)[:rows],
        sequence=filled(-1, choice, _PADDING)[:rows],
        present=filled(1, read[stands].to(ids.dtype), 0).bool(),
        state=state[mask],
    )


def pays(decoder: nn.Module, mask: Tensor, before: int) -> bool:
    """Whether choices can stand side by side, and take less time so than each with a start of its own.

    Args:
        decoder: of the backbone.
        mask: (batch, choices, tokens), True on tokens.
        before: vectors that the adaptation puts before the start.
    """
    if decoder.training or not (isinstance(decoder, FusedStack) and decoder.is_fused()):
        return False  # dropout would drop the same of one start for all choices
    _, choices, tokens = mask.shape
    costs = PassCosts.of(decoder.config, mask.device.type, decoder=True)
    read = choices * (tokens - 1) if before else int(mask[:, :, 1:].flatten(1).sum(1).max())
    together = before + 1 + read
    return costs.padded(1, together) <= costs.padded(choices, before + tokens)
