"""Full fine-tuning: train every weight, the embeddings and the head included (Liu et al. 2022, Section 3.3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.substitution import WeightAdaptation
from tfew_pl.method import Method
from tfew_pl.setting import Setting


@dataclass(frozen=True)
class FullConfig:
    """Full fine-tuning has nothing to set."""


class FullAdaptation(WeightAdaptation):
    """A copy of every weight, (1, *shape), in fp32 (or finer, where the backbone is): 2,849,757,184 values on T0-3B.

    Modules compute with the copies, and the backbone's own weights stay untouched: restoring it bit for bit is
    what costs. Memory, in bytes, with N weights: 4 N for the copies beside the backbone's own (4 N in fp32,
    2 N in bf16), 4 N for gradients in training; Adafactor's state is rows and columns only. The file holds
    4 N bytes. Saving takes host memory: 4 N for copies of weights that are on a GPU, 4 N for their bytes and 4 N for
    the whole file, which stays until the record is written: 34 GB at the most on T0-3B, 23 GB where it is trained on
    the CPU. Time: that of training N weights; none is added in fp32, a conversion of each weight in bf16.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__(backbone)
        self.weights = nn.ParameterDict()
        for name, own in self._own.items():
            precision = torch.promote_types(own.dtype, torch.float32)
            copy = own.detach().to(precision, copy=True)
            self.weights[_key(name)] = nn.Parameter(copy.unsqueeze(0))
            self._substitute(name)

    def weight(self, name: str) -> Tensor:
        """The copy, in the backbone's precision."""
        return self.weights[_key(name)][0].to(self._own[name].dtype)


def _key(name: str) -> str:
    return name.replace(".", "/")


class FullFineTuning(Method):
    """Registers full fine-tuning."""

    name = "full"
    summary = "full fine-tuning: train every weight"
    Config = FullConfig
    recipe = {"steps": 300, "learning_rate": 3e-4}  # noqa: RUF012 (App. D)
    slotted = False
    mergeable = True

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> FullAdaptation:
        return FullAdaptation(backbone)
