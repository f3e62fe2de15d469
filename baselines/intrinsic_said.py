"""Intrinsic SAID: train a low-dimensional vector, projected to all weights (Aghajanyan et al. 2020).

Liu et al. 2022, App. D, replace the projection to a matrix by an outer product of two projected vectors. The
release trains one dimension less than the 500,000 and 20,000 that it is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from baselines.fastfood import Fastfood
from baselines.substitution import WeightAdaptation
from tfew_pl.errors import UserError
from tfew_pl.method import Method
from tfew_pl.setting import Setting

_SEEDS = 1 << 32


@dataclass(frozen=True)
class IntrinsicSAIDConfig:
    """Size of what is trained."""

    dimensions: int = 500_000
    """Of the trained vector, the scalars included (App. D: 20,000 and 500,000)."""


class IntrinsicSAIDAdaptation(WeightAdaptation):
    """θ, (1, dimensions - tensors), and a scalar λ for each of the backbone's tensors, (1, tensors).

    A fastfood projection P of θ gives every tensor its coordinates: n for a vector of n, which move it by
    λ (P θ); in + out for an out x in matrix, which move it by the rank-1 λ u (a + v)ᵀ, where u and v are the two parts
    of P θ (App. D: outer products in place of a projection to all the weights). θ starts at 0, λ at 1, so that nothing
    moves at the start. a is a random unit vector, from the seed too: without it, as in the release, both
    factors would be 0 at the start, and no gradient would reach a matrix; with it, matrices begin to move as u does,
    and a step of θ moves them by the same norm as a full projection would.

    θ, λ and the seed are all that is stored: dimensions + 1 values. With D coordinates in all (2,530,176 on T0-3B),
    L the power of two from the size of θ on, and D' = L ceil(D / L), memory is 16 D' + 4 D bytes for what the seed
    gives, and 4 D' at most a few times over in a forward pass; no matrix is ever formed: maps add
    u ((a + v)·x) to their outputs. Time a pass, whatever the batch: 2 D' log2 L additions; a token and map: in + out
    multiplications; none once merged.
    """

    def __init__(self, backbone: nn.Module, dimensions: int, seed: int) -> None:
        super().__init__(backbone)
        device = next(iter(self._own.values())).device
        if dimensions <= len(self._own):
            raise UserError(f"dimensions must be above {len(self._own)}, a scalar for each tensor, not {dimensions}")
        self._tensors = {name: number for number, name in enumerate(self._own)}
        self._starts: dict[str, int] = {}
        coordinates = 0
        for name, own in self._own.items():
            self._starts[name] = coordinates
            coordinates += sum(own.shape) if own.ndim == 2 else own.numel()
        self._coordinates = coordinates
        self.theta = nn.Parameter(torch.zeros(1, dimensions - len(self._own), device=device))
        self.scales = nn.Parameter(torch.ones(1, len(self._own), device=device))
        self.seed: Tensor
        self.register_buffer("seed", torch.tensor([seed], device=device))
        self._draw(seed)
        self.register_load_state_dict_post_hook(lambda *_: self._draw(int(self.seed)))
        self._projected: Tensor | None = None
        self._hook(backbone)

    def _draw(self, seed: int) -> None:
        """What the seed gives: the projection, and the vectors a."""
        device = self.theta.device
        self.projection = Fastfood(self.theta.numel(), self._coordinates, seed, device)
        anchors = torch.zeros(self._coordinates, device=device)
        if device.type != "meta":
            random = np.random.RandomState((seed + 1) % _SEEDS)
            for name, own in self._own.items():
                if own.ndim == 2:
                    start = self._starts[name] + own.shape[0]
                    vector = torch.from_numpy(random.standard_normal(own.shape[1]))
                    anchors[start : start + own.shape[1]] = (vector / vector.norm()).to(anchors)
        self.anchors: Tensor
        self.register_buffer("anchors", anchors, persistent=False)

    def _hook(self, backbone: Any) -> None:
        for name, own in self._own.items():
            for module, local in self._places[name]:
                if own.ndim == 2 and isinstance(module, nn.Linear):
                    self.on_detach(module.register_forward_hook(self._map_hook(name)).remove)
                elif own.ndim == 2 and isinstance(module, nn.Embedding):
                    self.on_detach(module.register_forward_hook(self._embedding_hook(name)).remove)
                else:
                    self._substitute_in(module, local, name)
        # The projection is made once a pass, which begins with the encoder and ends with the head.
        self.on_detach(backbone.encoder.register_forward_pre_hook(lambda *_: self._forget()).remove)
        self.on_detach(backbone.lm_head.register_forward_hook(lambda *_: self._forget()).remove)
        self.on_detach(self._forget)

    def _forget(self) -> None:
        self._projected = None

    def _coordinates_of(self, name: str) -> Tensor:
        """A tensor's part of P θ."""
        projected = self._projected
        if projected is None or projected.requires_grad != (torch.is_grad_enabled() and self.theta.requires_grad):
            # What this keeps for its backward pass is no part of what a part of the choices is decoded once more for.
            with saved_tensors_hooks(Tensor.detach, lambda tensor: tensor):
                projected = self.projection(self.theta[0])
            if projected.requires_grad:  # a backward pass frees what the projection was made by
                projected.register_hook(lambda _gradient: self._forget())
            self._projected = projected
        own, start = self._own[name], self._starts[name]
        return projected[start : start + (sum(own.shape) if own.ndim == 2 else own.numel())]

    def factors(self, name: str) -> tuple[Tensor, Tensor]:
        """λ u, (out,), and a + v, (in,), whose outer product moves an out x in matrix."""
        own = self._own[name]
        coordinates = self._coordinates_of(name)
        start = self._starts[name] + own.shape[0]
        left, right = coordinates[: own.shape[0]], coordinates[own.shape[0] :]
        return left * self.scales[0, self._tensors[name]], right + self.anchors[start : start + own.shape[1]]

    def weight(self, name: str) -> Tensor:
        """The backbone's weight, moved."""
        own = self._own[name].detach()
        if own.ndim == 2:
            left, right = self.factors(name)
            return torch.addr(own, left.to(own.dtype), right.to(own.dtype))
        change = self._coordinates_of(name) * self.scales[0, self._tensors[name]]
        return own + change.view(own.shape).to(own.dtype)

    def _map_hook(self, name: str) -> Any:
        def move(_map: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            left, right = self.factors(name)
            along = inputs[0] @ right.to(output.dtype)  # (..., tokens)
            return output + along.unsqueeze(-1) * left.to(output.dtype)

        return move

    def _embedding_hook(self, name: str) -> Any:
        def move(_embedding: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            left, right = self.factors(name)
            along = F.embedding(inputs[0], left.unsqueeze(1))  # (..., 1)
            return output + (along * right).to(output.dtype)

        return move

    @torch.no_grad()
    def merge(self) -> None:
        """Adds the rank-1 matrices and the moved vectors to the weights."""
        self._forget()
        super().merge()

    def stored(self) -> dict[str, Tensor]:
        """θ, λ and the seed."""
        return {"theta": self.theta.detach(), "scales": self.scales.detach(), "seed": self.seed.unsqueeze(0)}

    @torch.no_grad()
    def load_stored(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `stored` gave, and draws the projection of its seed."""
        self.load_state_dict({**tensors, "seed": tensors["seed"][0]})


class IntrinsicSAID(Method):
    """Registers Intrinsic SAID with 500,000 dimensions."""

    name = "intrinsic-said-500k"
    summary = "Intrinsic SAID: train 500,000 dimensions that a random projection spreads (Aghajanyan et al. 2020)"
    Config: ClassVar[type] = IntrinsicSAIDConfig
    recipe = {"steps": 3000, "learning_rate": 3e-2}  # noqa: RUF012 (App. D)
    slotted = False
    mergeable = True

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> IntrinsicSAIDAdaptation:
        seed = int(torch.randint(_SEEDS, (), generator=generator))
        return IntrinsicSAIDAdaptation(backbone, self.config.dimensions, seed)


@dataclass(frozen=True)
class SmallIntrinsicSAIDConfig(IntrinsicSAIDConfig):
    """Fewer dimensions."""

    dimensions: int = 20_000


class SmallIntrinsicSAID(IntrinsicSAID):
    """Registers Intrinsic SAID with 20,000 dimensions."""

    name = "intrinsic-said-20k"
    summary = "Intrinsic SAID: train 20,000 dimensions that a random projection spreads (Aghajanyan et al. 2020)"
    Config = SmallIntrinsicSAIDConfig
