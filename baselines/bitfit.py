"""BitFit: train biases (Ben-Zaken et al. 2021). T5 has none, so they are added (Liu et al. 2022, App. D)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.norms import NormAdaptation
from tfew_pl.errors import UserError
from tfew_pl.method import Method
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting

_INNER = re.compile(r".*\.(q|k|v|o|wi|wi_0|wi_1)")
"""Paths of the linear maps that get a bias in the release: its pattern `w_o` matches no map of T5."""
_OUTPUT = re.compile(r".*\.wo")


@dataclass(frozen=True)
class BitFitConfig:
    """Which biases, and whether layer norms."""

    output_biases: bool = False
    """Add biases to the feed-forward's output maps too; the release, and the paper's 1.3M, leave them out."""
    layer_norms: bool = True
    """Train the layer norms too (release; the paper's 1.3M counts them)."""


class BitFitAdaptation(NormAdaptation):
    """A bias for every attention map and inner feed-forward map, each (slots, out); zeros at the start.

    Memory: slots x (3 d_inner + d_model an attention, d_ff an inner map) values; no activation is kept for the
    biases' gradients. With d_inner = heads x d_kv. Time: out additions a token and map, and as many for the gradient.
    The layer norms' memory and time are with `NormAdaptation`.
    """

    def __init__(self, backbone: nn.Module, slots: int, config: BitFitConfig) -> None:
        super().__init__(backbone, slots, config.layer_norms)
        self.biases = nn.ParameterDict()
        self._maps: dict[str, nn.Linear] = {}
        for path, module in backbone.named_modules():
            if isinstance(module, nn.Linear) and (
                _INNER.fullmatch(path) or (config.output_biases and _OUTPUT.fullmatch(path))
            ):
                self._add(path.replace(".", "/"), module)

    def _add(self, key: str, module: nn.Linear) -> None:
        bank = nn.Parameter(torch.zeros(self.slots, module.out_features, device=module.weight.device))
        self.biases[key], self._maps[key] = bank, module

        def add(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + self.select(bank, len(output)).unsqueeze(1).to(output.dtype)  # (rows, tokens, out)

        self.on_detach(module.register_forward_hook(add).remove)

    def fold(self) -> None:
        """Adds slot 0's biases to the backbone's own.

        Raises:
            UserError: the backbone has no biases to add to, as T5 has none.
        """
        for key, module in self._maps.items():
            if module.bias is None:
                path = key.replace("/", ".")
                raise UserError(f"BitFit cannot be merged: {path} has no bias, and plain T5 could not load one")
        for key, module in self._maps.items():
            module.bias.copy_(module.bias + self.biases[key][0])
        self.fold_norms()

    @property
    def mergeable(self) -> bool:
        """Whether the backbone has a bias wherever one is added; T5 has none."""
        return super().mergeable and all(module.bias is not None for module in self._maps.values())


class BitFit(Method):
    """Registers BitFit."""

    name = "bitfit"
    summary = "BitFit: add biases to the linear maps and train them (Ben-Zaken et al. 2021)"
    Config = BitFitConfig
    recipe: ClassVar[Mapping[str, Any]] = {"steps": 300, "learning_rate": 3e-4}  # App. D
    remarks = Remarks(
        release={"steps": 1000},  # its configuration file
        built="biases as in the release, where none is added to the feed-forward's output; layer norms are trained too",
        counted="1,081,344 of biases and 249,856 of layer norms, which the paper's 1.3M counts",
    )

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> BitFitAdaptation:
        return BitFitAdaptation(backbone, slots, self.config)
