"""LoRA: low-rank updates of the weight matrices (Hu et al. 2021; Liu et al. 2022, App. D)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.norms import NormAdaptation
from tfew_pl.banks import add_linear, linear, normal
from tfew_pl.errors import UserError
from tfew_pl.method import Method
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting

HEAD = "lm_head"
"""The one linear map that is neither attention nor feed-forward."""


@dataclass(frozen=True)
class LoRAConfig:
    """Size and start of the updates."""

    rank: int = 4
    """r (App. D)."""
    init_scale: float = 0.01
    """A ~ init_scale N(0, 1), B = 0 (App. D)."""
    layer_norms: bool = True
    """Train the layer norms too (release; the paper's 9.1M counts them)."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UserError(f"rank must be at least 1, not {self.rank}")
        if self.init_scale < 0:
            raise UserError(f"init_scale must not be negative, and is {self.init_scale}")


class LoRAAdaptation(NormAdaptation):
    """A (slots, r, in) and B (slots, out, r) for every attention and feed-forward map: W + B A / r.

    Memory: slots x r (in + out) values a map. A token, training keeps the input of each map, in values, which A's
    gradient needs, and r values a map. q, k and v have one input, as wi_0 and wi_1 do, and cross-attention's k and v
    that of all layers: in an encoder layer of T0-3B 3 x 2,048 + 5,120 = 11,264 values, and 7 r. Time: r (in + out)
    multiplications a token and map beside in x out; none once merged.
    """

    def __init__(self, backbone: nn.Module, slots: int, config: LoRAConfig, generator: torch.Generator) -> None:
        super().__init__(backbone, slots, config.layer_norms)
        self.scaling = 1 / config.rank  # release
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        self._maps: dict[str, nn.Linear] = {}
        for path, module in backbone.named_modules():
            if isinstance(module, nn.Linear) and not path.endswith(HEAD):
                self._add(path.replace(".", "/"), module, config, generator)

    def _add(self, key: str, module: nn.Linear, config: LoRAConfig, generator: torch.Generator) -> None:
        device = module.weight.device
        shape = (self.slots, config.rank, module.in_features)
        a = self.a[key] = nn.Parameter(normal(shape, config.init_scale, generator, device))
        b = self.b[key] = nn.Parameter(torch.zeros(self.slots, module.out_features, config.rank, device=device))
        self._maps[key] = module

        def update(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            x = inputs[0]  # (rows, tokens, in)
            inner = linear(x, self.select(a, len(x)))  # (rows, tokens, r)
            return add_linear(output, inner, self.select(b, len(x)), self.scaling)  # (rows, tokens, out)

        self.on_detach(module.register_forward_hook(update).remove)

    def fold(self) -> None:
        """Adds slot 0's B A / r to the weights, and writes its layer norms."""
        for key, module in self._maps.items():
            module.weight.copy_(module.weight + self.b[key][0] @ self.a[key][0] * self.scaling)
        self.fold_norms()


class LoRA(Method):
    """Registers LoRA."""

    name = "lora"
    summary = "LoRA: low-rank updates of every attention and feed-forward matrix (Hu et al. 2021)"
    Config = LoRAConfig
    recipe: ClassVar[Mapping[str, Any]] = {"steps": 1000, "learning_rate": 3e-3}  # App. D
    remarks = Remarks(
        built="as in the release, layer norms are trained too",
        counted="249,856 are layer norms, which the paper's 9.1M counts",
    )
    mergeable = True

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> LoRAAdaptation:
        return LoRAAdaptation(backbone, slots, self.config, generator)
