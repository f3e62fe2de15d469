"""Training the backbone's layer norms, which most methods of the release do beside their own parameters."""

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from tfew_pl.fused import rms_norm
from tfew_pl.method import Adaptation, ParameterCounts

LAYER_NORM = "layer_norm"
"""Ending of every layer norm's path in a T5: one before each sublayer, one at the end of each stack."""


class NormAdaptation(Adaptation):
    """An adaptation that may train the layer norms; what else it does, a subclass adds.

    A slot has d_model values for each of 2 L_enc + 3 L_dec + 2 norms: 122 x 2,048 = 249,856 on T0-3B. They start
    from the backbone's own. Time: that of the norms they replace, and 2 d_model operations a token and norm for their
    gradients. Training keeps no more than the gradient through a frozen norm does: its input and a number a token.

    Args:
        backbone: a T5-family model.
        slots: number of parameter sets.
        layer_norms: whether to train them.
    """

    by_vector = True

    def __init__(self, backbone: nn.Module, slots: int, layer_norms: bool) -> None:
        super().__init__(slots)
        self.norms = nn.ParameterDict()
        self._norm_modules: dict[str, nn.Module] = {}
        for path, module in backbone.named_modules():
            if layer_norms and path.endswith(LAYER_NORM):
                key = path.replace(".", "/")
                self.norms[key] = nn.Parameter(module.weight.detach().float().repeat(slots, 1))
                self._norm_modules[key] = module
                self.replace_forward(module, self._normalizing(module, self.norms[key]))

    def _normalizing(self, module: Any, bank: Tensor) -> Callable[[Tensor], Tensor]:
        """A norm's forward; a function, which a compiled graph knows by its code when there is a new one."""

        def normalized(x: Tensor) -> Tensor:
            """(rows, tokens, d_model) -> the same, in the precision that T5's own norm gives."""
            weight = self.select(bank, len(x))  # (rows or 1, d_model)
            weight = weight[0] if len(weight) == 1 else weight.unsqueeze(1)
            return rms_norm(x, weight, module.variance_epsilon).to(module.weight.dtype)

        return normalized

    def fold_norms(self) -> None:
        """Writes slot 0's layer norms into the backbone, for good."""
        for key, module in self._norm_modules.items():
            module.weight.copy_(self.norms[key][0])  # type: ignore[operator]

    def counts(self) -> ParameterCounts:
        """How many values a slot has. Layer norms replace the backbone's at inference: they are no extra."""
        counts = super().counts()
        norms = sum(bank[0].numel() for bank in self.norms.values())
        return dataclasses.replace(counts, inference_extra=max(0, counts.inference_extra - norms))
