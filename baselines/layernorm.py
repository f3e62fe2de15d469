"""LayerNorm: train the layer norms' scales, nothing else (Liu et al. 2022, Section 3.3 and App. D)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from baselines.norms import NormAdaptation
from tfew_pl.method import Method
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting


@dataclass(frozen=True)
class LayerNormConfig:
    """LayerNorm has nothing to set."""


class LayerNormAdaptation(NormAdaptation):
    """The scales of every layer norm, each (slots, d_model); at the start they are the backbone's.

    Memory: slots x d_model (2 L_enc + 3 L_dec + 2) values, 249,856 a slot on T0-3B; nothing more is kept in training,
    since the gradient through a frozen norm needs its input as well. Time: that of the norms they replace, and
    2 d_model operations a token and norm for their gradients; none once merged.
    """

    def __init__(self, backbone: nn.Module, slots: int) -> None:
        super().__init__(backbone, slots, layer_norms=True)

    def fold(self) -> None:
        """Writes slot 0's scales into the backbone's layer norms."""
        self.fold_norms()


class LayerNorm(Method):
    """Registers LayerNorm."""

    name = "layernorm"
    summary = "LayerNorm: train the scales of the layer norms"
    Config = LayerNormConfig
    recipe: ClassVar[Mapping[str, Any]] = {"steps": 300, "learning_rate": 3e-4}  # App. D
    remarks = Remarks(release={"steps": 1000})  # its configuration file
    mergeable = True

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> LayerNormAdaptation:
        return LayerNormAdaptation(backbone, slots)
