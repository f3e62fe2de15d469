"""Parameterized hypercomplex multiplication, low-rank (Zhang et al. 2021; Karimi Mahabadi et al. 2021, Section 4)."""

import math

import torch
from torch import Tensor, nn

from baselines.bottleneck import Select
from tfew_pl.banks import normal, uniform

RULE_STD = 0.02
"""Of the rule matrices at the start (release, `compacter_phm_c_init: normal`)."""
GLOROT_GAIN = math.sqrt(2)
"""Of the Glorot-uniform start of the factors (Compacter's code and the release)."""


def new_rule(slots: int, n: int, generator: torch.Generator, device: torch.device) -> nn.Parameter:
    """Rule matrices A_1 ... A_n of slots, (slots, n, n, n)."""
    return nn.Parameter(normal((slots, n, n, n), RULE_STD, generator, device))


def _glorot(shape: tuple[int, int, int, int], generator: torch.Generator, device: torch.device) -> nn.Parameter:
    """Each (rows, columns) of the last two dimensions ~ U(-a, a), a = gain sqrt(6 / (rows + columns))."""
    largest = GLOROT_GAIN * math.sqrt(6 / (shape[-2] + shape[-1]))
    return nn.Parameter(uniform(shape, largest, generator, device))


class PHMLinear(nn.Module):
    """y = x H + b with H = sum_i A_i ⊗ (l_i r_i), ⊗ being the Kronecker product; H is never built.

    With in = n k and out = n s: A_i (n, n), l_i (k, rank), r_i (rank, s).

    Memory: slots x (n^3 + rank (in + out) + out) values, the rule shared where it is. Time: rank n (in + out + n^2)
    multiplications a token, against in x out for H.

    Args:
        slots: number of parameter sets.
        sizes: in and out, multiples of n.
        rank: of l_i r_i.
        rule: (slots, n, n, n), its own or shared with other layers.
        generator: draws the start.
    """

    def __init__(
        self, slots: int, sizes: tuple[int, int], rank: int, rule: nn.Parameter, generator: torch.Generator
    ) -> None:
        super().__init__()
        n, device = rule.shape[1], rule.device
        self.rule = rule
        self.left = _glorot((slots, n, sizes[0] // n, rank), generator, device)
        self.right = _glorot((slots, n, rank, sizes[1] // n), generator, device)
        self.bias = nn.Parameter(torch.zeros(slots, sizes[1], device=device))

    def forward(self, x: Tensor, select: Select) -> Tensor:
        """(rows, tokens, in) -> (rows, tokens, out)."""
        rows, tokens, _ = x.shape
        left, right, rule, bias = (
            select(bank, rows).to(x.dtype) for bank in (self.left, self.right, self.rule, self.bias)
        )  # (rows or 1, ...)
        n, rank = left.shape[1], left.shape[-1]
        columns = left.permute(0, 2, 1, 3).flatten(2)  # (rows or 1, k, n rank): l_1 ... l_n side by side
        parts = x.reshape(rows, tokens * n, -1)  # (rows, tokens p, k): the p-th part of a token
        inner = (parts @ columns).view(rows, tokens, n, n, rank)  # (rows, tokens, p, i, rank): x_p l_i
        mixed = torch.einsum(
            "btpir,bipq->btqir", inner, rule.expand(rows, -1, -1, -1)
        )  # sum over p of A_i[p, q] x_p l_i
        spread = mixed.reshape(rows, tokens * n, n * rank) @ right.flatten(1, 2)  # (rows, tokens q, s): sum over i
        return spread.view(rows, tokens, -1) + bias.unsqueeze(1)
