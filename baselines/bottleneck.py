"""Putting small bottleneck layers after the backbone's sublayers, as adapters and Compacter do."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from baselines.norms import NormAdaptation

Select = Callable[[Tensor, int], Tensor]
"""`Adaptation.select`: from a bank and a number of rows to what each row uses."""
FEED_FORWARD = ".DenseReluDense"
SELF_ATTENTION = ".SelfAttention.o"
CROSS_ATTENTION = ".EncDecAttention.o"
"""Endings of the paths of the modules whose output is a sublayer's, before dropout and the residual connection."""


def width(backbone: nn.Module) -> int:
    """d_model of a T5-family model."""
    config: Any = backbone.config
    return int(config.d_model)


class Bottleneck(Protocol):
    """A layer (rows, tokens, d_model) -> the same, its parameters banks of slots."""

    def __call__(self, x: Tensor, select: Select) -> Tensor: ...


class BottleneckAdaptation(NormAdaptation):
    """A bottleneck after each of some sublayers, inside the residual connection: h + f(sublayer(norm(h))).

    Args:
        backbone: a T5-family model.
        slots: number of parameter sets.
        after: endings of the paths of the modules after which one stands.
        make: makes one.
        layer_norms: whether the layer norms are trained too.
    """

    def __init__(
        self,
        backbone: nn.Module,
        slots: int,
        after: Sequence[str],
        make: Callable[[], nn.Module],
        layer_norms: bool,
    ) -> None:
        super().__init__(backbone, slots, layer_norms)
        self.layers = nn.ModuleDict()
        for path, module in backbone.named_modules():
            if path.endswith(tuple(after)):
                layer = self.layers[path.replace(".", "/")] = make()
                self._insert(module, layer)

    def _insert(self, module: nn.Module, layer: Bottleneck) -> None:
        def through(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return layer(output, self.select)

        self.on_detach(module.register_forward_hook(through).remove)
