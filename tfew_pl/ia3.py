"""(IA)3: learned rescaling of keys, values and inner feed-forward activations (Section 3.3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tfew_pl.fused import scaled
from tfew_pl.method import Adaptation, Method
from tfew_pl.setting import Setting

KEYS_AND_VALUES = (".k", ".v")
"""Endings of the linear maps whose outputs l_k and l_v scale."""
FEED_FORWARD_OUTPUT = ".wo"
"""Ending of the linear map whose input, the inner feed-forward activations, l_ff scales."""


@dataclass(frozen=True)
class IA3Config:
    """(IA)3 has nothing to set."""


class IA3Adaptation(Adaptation):
    """The vectors l_k, l_v and l_ff of every layer, ones at the start; each is (slots, dimension).

    Keys and values are scaled in the encoder's self-attention, the decoder's self-attention and
    cross-attention. In a gated feed-forward, scaling the input of the output map equals scaling `wi_1`'s
    output, as the release does.

    Memory: a slot has 2 d_kv heads + d_ff values an encoder layer and 4 d_kv heads + d_ff a decoder layer, 540,672
    on T0-3B. Training keeps what is scaled, which the vectors' gradients need: (tokens, dimension) values for each.
    Time: a multiplication for each of these values, two in the backward pass; none once merged.
    """

    by_vector = True

    def __init__(self, backbone: nn.Module, slots: int) -> None:
        super().__init__(slots)
        self.scales = nn.ParameterDict()
        self._maps: dict[str, nn.Linear] = {}
        for path, module in backbone.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            if path.endswith(KEYS_AND_VALUES):
                self._scale_output(path, module)
            elif path.endswith(FEED_FORWARD_OUTPUT):
                self._scale_input(path, module)

    def _add(self, path: str, module: nn.Linear, dimension: int) -> nn.Parameter:
        self._maps[path] = module
        key = path.replace(".", "/")
        self.scales[key] = nn.Parameter(torch.ones(self.slots, dimension, device=module.weight.device))
        return self.scales[key]

    def _scaled(self, activation: Tensor, bank: Tensor) -> Tensor:
        return scaled(activation, self.select(bank, len(activation)))  # (rows, tokens, dimension)

    def _scale_output(self, path: str, module: nn.Linear) -> None:
        bank = self._add(path, module, module.out_features)
        self.on_detach(module.register_forward_hook(lambda _module, _inputs, output: self._scaled(output, bank)).remove)

    def _scale_input(self, path: str, module: nn.Linear) -> None:
        bank = self._add(path, module, module.in_features)
        hook = module.register_forward_pre_hook(lambda _module, inputs: (self._scaled(inputs[0], bank),))
        self.on_detach(hook.remove)

    def fold(self) -> None:
        """Scales rows of the key and value maps, with their biases if there are any, and columns of the output maps."""
        for path, module in self._maps.items():
            scale = self.scales[path.replace(".", "/")][0]
            if path.endswith(FEED_FORWARD_OUTPUT):
                module.weight.copy_(module.weight * scale)
                continue
            module.weight.copy_(module.weight * scale.unsqueeze(1))
            if module.bias is not None:
                module.bias.copy_(module.bias * scale)


class IA3(Method):
    """Registers (IA)3."""

    name = "ia3"
    summary = "(IA)3: rescale keys, values and inner activations by learned vectors (Liu et al. 2022)"
    Config = IA3Config
    mergeable = True

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> IA3Adaptation:
        return IA3Adaptation(backbone, slots)
