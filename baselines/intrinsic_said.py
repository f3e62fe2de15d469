"""Intrinsic SAID: train a low-dimensional vector, projected to all weights (Aghajanyan et al. 2020).

Liu et al. 2022, App. D, replace the projection to a matrix by an outer product of two projected vectors. The
release trains one dimension less than the 500,000 and 20,000 that it is asked for.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
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
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting

_SEEDS = 1 << 32


@dataclass(frozen=True)
class IntrinsicSAIDConfig:
    """Size of what is trained."""

    dimensions: int = 500_000
    """Of the trained vector, the scalars included (App. D: 20,000 and 500,000)."""

    def __post_init__(self) -> None:
        if self.dimensions < 1:
            raise UserError(f"dimensions must be at least 1, not {self.dimensions}")


class IntrinsicSAIDAdaptation(WeightAdaptation):
    """θ, (1, dimensions - tensors), and a scalar λ for each of the backbone's tensors, (1, tensors).

    A fastfood projection P of θ gives every tensor its coordinates: n for a vector of n, which move it by
    λ (P θ); in + out for an out x in matrix, which move it by the rank-1 λ u (a + v)ᵀ, where u and v are the two parts
    of P θ (App. D: outer products in place of a projection to all the weights). θ starts at 0, λ at 1, so that nothing
    moves at the start. a is a random unit vector, from the seed too.

    The release does two things otherwise. It has no a: both factors are 0 at the start, no gradient reaches a matrix
    there, and later a matrix moves by λ u vᵀ, at second order in θ. With a, a matrix moves at first order, as SAID's
    own weights do, by the norm of λ u. v moves nothing at that order: of D coordinates, all vectors' and all matrices'
    rows do, so that a step of θ moves the weights by sqrt(1,493,824 / 2,530,176) = 0.77 times the norm by which P
    moves the D coordinates on T0-3B. And the release draws a projection for each tensor, divided by the root of that
    tensor's own coordinates; here P is one, divided by sqrt(D), which is the equation of SAID's paper: θ times a
    random projection to all that is trained, with λ to weigh the tensors. At the same θ the coordinates of a
    2,048 x 2,048 matrix of T0-3B are therefore sqrt(4,096 / 2,530,176) = 0.04 times the release's. So the learning
    rate of App. D does not mean the same step as in the release.

    θ, λ and the seed are all that is stored: dimensions + 1 values. With D coordinates in all (2,530,176 on T0-3B),
    L the power of two from the size of θ on, and D' = L ceil(D / L), memory is 16 D' + 12 D bytes for what the seed
    gives, and 4 D' at most a few times over in a forward pass; no matrix is ever formed: maps add
    u ((a + v)·x) to their outputs. Time a pass, whatever the batch: two transforms of D' values; a token and map:
    in + out multiplications; none once merged.
    """

    def __init__(self, backbone: nn.Module, dimensions: int, seed: int) -> None:
        super().__init__(backbone)
        device = next(iter(self._own.values())).device
        if dimensions <= len(self._own):
            raise UserError(f"dimensions must be above {len(self._own)}, a scalar for each tensor, not {dimensions}")
        # A matrix has a part of the coordinates for its rows and one for its columns, a vector has one.
        parts = [tuple(own.shape) if own.ndim == 2 else (own.numel(),) for own in self._own.values()]
        self._sizes = [size for sizes in parts for size in sizes]
        self._first = dict(zip(self._own, accumulate(map(len, parts), initial=0), strict=False))
        self.theta = nn.Parameter(torch.zeros(1, dimensions - len(self._own), device=device))
        self.scales = nn.Parameter(torch.ones(1, len(self._own), device=device))
        self.seed: Tensor
        self.register_buffer("seed", torch.tensor([seed], device=device))
        self._draw(seed)
        self.register_load_state_dict_post_hook(lambda *_: self._draw(int(self.seed)))
        self._parts: tuple[Tensor, ...] | None = None
        self._hook(backbone)

    def _draw(self, seed: int) -> None:
        """What the seed gives: the projection, and the vectors a."""
        device, coordinates = self.theta.device, sum(self._sizes)
        self.projection = Fastfood(self.theta.numel(), coordinates, seed, device)
        anchors = torch.zeros(coordinates, device=device)
        # Whose scalar moves a coordinate; a matrix's columns are moved by none, the one that stands behind the last.
        movers = torch.full((coordinates,), len(self._own), device=device)
        if device.type != "meta":
            random = np.random.RandomState((seed + 1) % _SEEDS)
            places, scalars = anchors.split(self._sizes), movers.split(self._sizes)
            for number, (name, own) in enumerate(self._own.items()):
                scalars[self._first[name]].fill_(number)
                if own.ndim == 2:
                    vector = torch.from_numpy(random.standard_normal(own.shape[1]))
                    places[self._first[name] + 1].copy_(vector / vector.norm())
        self.anchors: Tensor
        self.register_buffer("anchors", anchors, persistent=False)
        self.movers: Tensor
        self.register_buffer("movers", movers, persistent=False)

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
        self._parts = None

    def _moves(self) -> tuple[Tensor, ...]:
        """λ u and a + v of each matrix, λ (P θ) of each vector."""
        parts = self._parts
        if parts is None or parts[0].requires_grad != (torch.is_grad_enabled() and self.theta.requires_grad):
            # What this keeps for its backward pass is no part of what a part of the choices is decoded once more for.
            with saved_tensors_hooks(Tensor.detach, lambda tensor: tensor):
                scalars = nn.functional.pad(self.scales[0], (0, 1), value=1.0).index_select(0, self.movers)
                moves = torch.addcmul(self.anchors, self.projection(self.theta[0]), scalars)
                parts = moves.split(self._sizes)
            if moves.requires_grad:  # a backward pass frees what they were made by
                moves.register_hook(lambda _gradient: self._forget())
            self._parts = parts
        return parts

    @contextmanager
    def ahead(self, stack: nn.Module) -> Iterator[None]:
        """The same as of any that changes weights; the projection is made, too."""
        self._moves()
        with super().ahead(stack):
            yield

    def factors(self, name: str) -> tuple[Tensor, Tensor]:
        """λ u, (out,), and a + v, (in,), whose outer product moves an out x in matrix."""
        first = self._first[name]
        left, right = self._moves()[first : first + 2]
        return left, right

    def weight(self, name: str) -> Tensor:
        """The backbone's weight, moved."""
        own = self._own[name].detach()
        if own.ndim == 2:
            left, right = self.factors(name)
            return torch.addr(own, left.to(own.dtype), right.to(own.dtype))
        return own + self._moves()[self._first[name]].view(own.shape).to(own.dtype)

    def _map_hook(self, name: str) -> Any:
        def move(_map: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            left, right = self.factors(name)
            along = inputs[0].flatten(0, -2) @ right.to(output.dtype).unsqueeze(1)  # (tokens, 1)
            moved = torch.addmm(output.flatten(0, -2), along, left.to(output.dtype).unsqueeze(0))
            return moved.view(output.shape)

        return move

    def _embedding_hook(self, name: str) -> Any:
        def move(_embedding: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            left, right = self.factors(name)
            along = F.embedding(inputs[0], left.unsqueeze(1))  # (..., 1)
            return output + (along * right).to(output.dtype)

        return move

    def fold(self) -> None:
        """Adds the rank-1 matrices and the moved vectors to the weights."""
        self._forget()
        super().fold()

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
    remarks = Remarks(
        built="one projection to the whole backbone, and matrices move at first order; in the release one projection a "
        "tensor, and matrices move at second order",
        counted="558 of the dimensions are scalars, one for each tensor; the seed is stored beside",
    )
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
