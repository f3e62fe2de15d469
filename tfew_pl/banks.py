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


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Gives x W^T + b, each row by its own W and b.

    Args:
        x: (rows, tokens, in).
        weight: (1, out, in) for one that all rows share, or (rows, out, in), as `Adaptation.select` gives it.
        bias: (1, out) or (rows, out), as the weight.

    Returns:
        (rows, tokens, out), in the precision of x.
    """
    weight = weight.to(x.dtype)
    if len(weight) == 1:
        return F.linear(x, weight[0], None if bias is None else bias[0].to(x.dtype))
    if bias is None:
        return torch.bmm(x, weight.transpose(1, 2))
    return torch.baddbmm(bias.unsqueeze(1).to(x.dtype), x, weight.transpose(1, 2))


def add_linear(y: Tensor, x: Tensor, weight: Tensor, factor: float = 1.0) -> Tensor:
    """Gives y + factor x W^T, each row by its own W, in one operation; arguments as for `linear`.

    Args:
        y: (rows, tokens, out).
    """
    weight = weight.to(x.dtype)
    if len(weight) == 1:
        return torch.addmm(y.flatten(0, 1), x.flatten(0, 1), weight[0].T, alpha=factor).view_as(y)
    return torch.baddbmm(y, x, weight.transpose(1, 2), alpha=factor)
