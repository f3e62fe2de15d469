"""Compacter and Compacter++ (Karimi Mahabadi et al. 2021): adapters of hypercomplex layers (Liu et al. 2022, App. D).

As the release builds them: Compacter after self-attention and feed-forward, Compacter++ after feed-forward alone;
neither after cross-attention. On T0-3B that is 870,400 and 560,128 trainable values. A bottleneck has 6,464:
rules 2 x 4^3 = 128, factors 2 (2,048 + 64) = 4,224, biases 64 + 2,048 = 2,112; 96 or 48 of them; and 249,856 of
layer norms. The paper prints 807K and 540K, which no simple choice of what to count gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from baselines.bottleneck import CROSS_ATTENTION, FEED_FORWARD, SELF_ATTENTION, BottleneckAdaptation, Select, width
from baselines.phm import PHMLinear, new_rule
from tfew_pl.errors import UserError
from tfew_pl.method import Method
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting

_BUILT = "as in the release: rule matrices for each layer, ReLU, and layer norms are trained too"
_BOTTLENECK = "6,464 (rules 128, factors 4,224, biases 2,112), and 249,856 of layer norms"


@dataclass(frozen=True)
class CompacterConfig:
    """Where the bottlenecks stand and how they are made."""

    reduction: int = 32
    """The bottleneck has d_model / reduction dimensions, rounded down to a multiple of n, at least n (App. D)."""
    n: int = 4
    """Terms of the sum of Kronecker products, and size of the rule matrices (App. D)."""
    rank: int = 1
    """Of each term's second factor (Compacter, Section 4.2; release)."""
    rule: Literal["own", "shared"] = "own"
    """`own`: each hypercomplex layer has rule matrices (release); `shared`: all have the same (Compacter)."""
    after_attention: bool = True
    """Put one after self-attention too; Compacter++ does not."""
    after_cross_attention: bool = False
    """Put one after cross-attention too (not in the release)."""
    layer_norms: bool = True
    """Train the layer norms too (release)."""

    def __post_init__(self) -> None:
        for name in ("reduction", "n", "rank"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class CompacterPlusPlusConfig(CompacterConfig):
    """Compacter after the feed-forward layers alone."""

    after_attention: bool = False
    """Put one after self-attention too, as Compacter does."""


class CompacterLayer(nn.Module):
    """x + up(ReLU(down(x))) with hypercomplex maps; the release takes ReLU, Compacter's own code GELU.

    Memory and time: those of two `PHMLinear`.
    """

    def __init__(self, down: PHMLinear, up: PHMLinear) -> None:
        super().__init__()
        self.down = down
        self.up = up

    def forward(self, x: Tensor, select: Select) -> Tensor:
        """(rows, tokens, d_model) -> the same."""
        inner: Tensor = torch.relu(self.down(x, select))
        return x + self.up(inner, select)


class Compacter(Method):
    """Registers Compacter."""

    name = "compacter"
    summary = "Compacter: hypercomplex low-rank adapters after self-attention and feed-forward (Mahabadi et al. 2021)"
    Config: ClassVar[type] = CompacterConfig
    recipe: ClassVar[Mapping[str, Any]] = {"steps": 500, "learning_rate": 3e-3}  # App. D
    remarks = Remarks(
        built=_BUILT,
        counted="the paper prints 807K, which no simple choice of what to count gives; here as in the release "
        f"96 bottlenecks of {_BOTTLENECK}",
    )

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> BottleneckAdaptation:
        config: CompacterConfig = self.config
        n, outer = config.n, width(backbone)
        if outer % n:
            raise UserError(f"method {self.name}: d_model is {outer}, no multiple of n = {n}: change n")
        inner = max(n, outer // config.reduction // n * n)
        device = next(backbone.parameters()).device
        shared = new_rule(slots, n, generator, device) if config.rule == "shared" else None

        def layer(sizes: tuple[int, int]) -> PHMLinear:
            rule = new_rule(slots, n, generator, device) if shared is None else shared
            return PHMLinear(slots, sizes, config.rank, rule, generator)

        after = [FEED_FORWARD, *[SELF_ATTENTION] * config.after_attention]
        after += [CROSS_ATTENTION] * config.after_cross_attention
        return BottleneckAdaptation(
            backbone,
            slots,
            after,
            lambda: CompacterLayer(layer((outer, inner)), layer((inner, outer))),
            config.layer_norms,
        )


class CompacterPlusPlus(Compacter):
    """Registers Compacter++."""

    name = "compacter++"
    summary = "Compacter++: hypercomplex low-rank adapters after the feed-forward alone (Mahabadi et al. 2021)"
    Config = CompacterPlusPlusConfig
    remarks = Remarks(
        built=_BUILT,
        counted="the paper prints 540K, which no simple choice of what to count gives; here as in the release "
        f"48 bottlenecks of {_BOTTLENECK}",
    )
