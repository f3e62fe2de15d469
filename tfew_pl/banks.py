"""What methods do with banks of slots: draw them, and multiply by what each row of an activation uses."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def normal(shape: Sequence[int], std: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """N(0, std^2) in fp32, drawn on the CPU whatever the device; nothing is drawn for the meta device."""
    if device.type == "meta":
        return torch.empty(*shape, device=device)
    return (torch.randn(*shape, generator=generator) * std).to(device)


def uniform(shape: Sequence[int], largest: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """U(-largest, largest) in fp32, drawn as `normal` draws."""
    if device.type == "meta":
        return torch.empty(*shape, device=device)
    return (torch.rand(*shape, generator=generator).mul_(2).sub_(1) * largest).to(device)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Gives x W^T, each row by its own W.

    Args:
        x: (rows, tokens, in).
        weight: (1, out, in) for one that all rows share, or (rows, out, in), as `Adaptation.select` gives it.

    Returns:
        (rows, tokens, out), in the precision of x.
    """
    weight = weight.to(x.dtype)
    return F.linear(x, weight[0]) if len(weight) == 1 else torch.bmm(x, weight.transpose(1, 2))
