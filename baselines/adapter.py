"""Adapters (Houlsby et al. 2019): bottlenecks after sublayers (Liu et al. 2022, App. D).

The paper's text puts one after self-attention and feed-forward layers alike. Its tables count 12.9M parameters on
T0-3B, which is one after feed-forward layers alone, as the release trains it; with self-attention it would be 25.6M.
The numbers are what the published accuracies belong to: they are the default here, the text an option.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.bottleneck import CROSS_ATTENTION, FEED_FORWARD, SELF_ATTENTION, BottleneckAdaptation, Select, width
from tfew_pl.banks import linear, normal
from tfew_pl.errors import UserError
from tfew_pl.method import Method
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting


@dataclass(frozen=True)
class AdapterConfig:
    """Where adapters stand and how wide they are."""

    reduction: int = 32
    """The bottleneck has d_model / reduction dimensions, at least one (App. D)."""
    after_attention: bool = False
    """Put one after self-attention too (App. D's text; not its parameter count, nor the release)."""
    after_cross_attention: bool = False
    """Put one after cross-attention too (neither the text nor the release)."""
    init_std: float = 0.02
    """Both weight matrices ~ N(0, init_std^2), biases 0 (release)."""
    layer_norms: bool = True
    """Train the layer norms too (release; the paper's 12.9M counts them)."""

    def __post_init__(self) -> None:
        if self.reduction < 1:
            raise UserError(f"reduction must be at least 1, not {self.reduction}")
        if self.init_std < 0:
            raise UserError(f"init_std must not be negative, and is {self.init_std}")


class AdapterLayer(nn.Module):
    """x + W_up ReLU(W_down x + b_down) + b_up, near the identity at the start.

    Memory: slots x (2 d m + d + m) values, d being d_model and m the bottleneck; 264,256 a slot on T0-3B; training
    keeps d + m values a token. Time: 2 d m multiplications a token.
    """

    def __init__(self, slots: int, d_model: int, config: AdapterConfig, draw: tuple[torch.Generator, torch.device]):
        super().__init__()
        inner = max(1, d_model // config.reduction)
        generator, device = draw
        self.down = nn.Parameter(normal((slots, inner, d_model), config.init_std, generator, device))
        self.down_bias = nn.Parameter(torch.zeros(slots, inner, device=device))
        self.up = nn.Parameter(normal((slots, d_model, inner), config.init_std, generator, device))
        self.up_bias = nn.Parameter(torch.zeros(slots, d_model, device=device))

    def forward(self, x: Tensor, select: Select) -> Tensor:
        """(rows, tokens, d_model) -> the same."""
        rows = len(x)
        inner = torch.relu(linear(x, select(self.down, rows), select(self.down_bias, rows)))  # (rows, tokens, inner)
        return x + linear(inner, select(self.up, rows), select(self.up_bias, rows))


class Adapter(Method):
    """Registers adapters."""

    name = "adapter"
    summary = "Adapter: bottleneck layers after the feed-forward sublayers (Houlsby et al. 2019)"
    Config = AdapterConfig
    recipe: ClassVar[Mapping[str, Any]] = {"steps": 500, "learning_rate": 3e-3}  # App. D
    remarks = Remarks(
        built="as in the release: none after attention, where the paper's text has them; layer norms are trained too",
        counted="249,856 are layer norms, which the paper's 12.9M counts; after_attention=True trains 25,618,432",
    )

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> BottleneckAdaptation:
        config: AdapterConfig = self.config
        after = [FEED_FORWARD, *[SELF_ATTENTION] * config.after_attention]
        after += [CROSS_ATTENTION] * config.after_cross_attention
        d_model = width(backbone)
        draw = (generator, next(backbone.parameters()).device)
        return BottleneckAdaptation(
            backbone, slots, after, lambda: AdapterLayer(slots, d_model, config, draw), config.layer_norms
        )
