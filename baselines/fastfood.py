"""The fastfood transform (Le et al. 2013): a random projection of n dimensions to many in n log n time."""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_BITS = 5
"""Of an entry's place, that one matrix product takes on: H_32 costs less than five rounds of additions."""


class _WalshHadamard(torch.autograd.Function):
    """H is symmetric, so that the gradient of H x is H times the incoming one: no factor beside it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, bits, width = x, x.shape[-1].bit_length() - 1, 1
        while bits:
            now = min(_BITS, bits)
            h = torch.from_numpy(_hadamard(now)).to(x)
            y = y.reshape(-1, 1 << now) @ h if width == 1 else h @ y.reshape(-1, 1 << now, width)
            bits, width = bits - now, width << now
        return y.view(x.shape) if y is not x else x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        result: Tensor = _WalshHadamard.apply(gradient)
        return result


@cache
def _hadamard(bits: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """H of 2^bits."""
    h = np.ones((1, 1), dtype=np.float32)
    for _ in range(bits):
        h = np.block([[h, h], [h, -h]])
    return h


def walsh_hadamard(x: Tensor) -> Tensor:
    """H x along the last dimension, not normalized, in the order of Sylvester's construction: H_mn = H_m ⊗ H_n.

    Time: matrix products by H_32, (64 / 5) n log2 n operations for n entries; they take a sixth of what n log2 n
    additions do, one round after another. Memory: 3 n values at a time, none kept for the backward pass.

    Args:
        x: (..., n), n a power of two.
    """
    if x.shape[-1].bit_count() != 1:
        raise ValueError(f"a Walsh-Hadamard transform takes a power of two, not {x.shape[-1]}")
    result: Tensor = _WalshHadamard.apply(x)
    return result


class Fastfood(nn.Module):
    """P θ, where P is outputs x inputs, random, and never formed; its columns have norm 1 in the mean.

    P is a stack of blocks H G Π H B (Le et al. 2013, Eq. 8) of L x L, L the power of two from `inputs` on, cut to
    `outputs` rows and `inputs` columns: all of θ is in each block, so that every input reaches every output. H is the
    Walsh-Hadamard matrix, B random signs, Π a random permutation, G normal; a block is divided by
    sqrt(outputs Σ G²) (Aghajanyan et al. 2020; in the release, `outputs` are those of one tensor, as it has a P for
    each). With b = ceil(outputs / L) blocks, time is at most two
    transforms of b L values, memory 16 b L bytes for B, Π and G and some 3 b L values at a time.

    B, Π and G are drawn from the seed by NumPy's `RandomState`, whose streams are frozen (NEP 19): a seed in a file
    means the same P with any later version, on any device.

    Args:
        inputs: size of θ.
        outputs: size of P θ.
        seed: below 2^32.
        device: of θ; on the meta device nothing is drawn.
    """

    def __init__(self, inputs: int, outputs: int, seed: int, device: torch.device) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.length = 1 << (inputs - 1).bit_length()
        self.blocks = math.ceil(outputs / self.length)
        self.needed = min(self.length, 1 << (outputs - 1).bit_length())
        shape = (self.blocks, self.length)
        if device.type == "meta":
            signs = torch.empty(shape, device=device)
            permutation = torch.empty(shape, dtype=torch.int64, device=device)
            normals = torch.empty(shape, device=device)
        else:
            random = np.random.RandomState(seed)
            signs = torch.from_numpy(random.randint(0, 2, shape) * 2.0 - 1.0).float()
            permutation = torch.from_numpy(np.stack([random.permutation(self.length) for _ in range(self.blocks)]))
            normals = torch.from_numpy(random.standard_normal(shape)).float()
            normals /= (outputs * normals.square().sum(1, keepdim=True)).sqrt()
        self.signs: Tensor
        self.permutation: Tensor
        self.normals: Tensor
        self.register_buffer("signs", signs.to(device), persistent=False)
        self.register_buffer("permutation", permutation.to(device), persistent=False)
        self.register_buffer("normals", normals.to(device), persistent=False)

    def forward(self, theta: Tensor) -> Tensor:
        """(inputs,) -> (outputs,), in θ's precision, under autocast as well: it sums over all of θ."""
        with torch.autocast(theta.device.type, enabled=False):
            padded = nn.functional.pad(theta, (0, self.length - self.inputs))
            mixed = walsh_hadamard(padded * self.signs.to(theta.dtype))  # (blocks, length)
            scaled = mixed.gather(1, self.permutation) * self.normals.to(theta.dtype)
            if self.needed < self.length:  # the first rows of H_mn = H_m ⊗ H_n are those of H_n, m times side by side
                scaled = scaled.view(-1, self.needed).sum(0, keepdim=True)
            return walsh_hadamard(scaled).flatten()[: self.outputs]
