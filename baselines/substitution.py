"""Adaptations that change weights: a module computes with other weights than its own, for the length of a call."""

from abc import abstractmethod
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from tfew_pl.method import Adaptation


class WeightAdaptation(Adaptation):
    """An adaptation that says what each weight of the backbone is, and has modules compute with that.

    The backbone's own parameters are never written to: a substitute stands in a module only while the module
    computes, whatever it computes, so that detaching has nothing to put back. Autograd keeps no
    matrix for the backward pass, which makes it anew; beside the adaptation's own parameters, memory is
    one layer's weight and its gradient at a time.

    There is one slot: the examples of a batch share the weights.

    Args:
        backbone: its parameters are known by the names of `named_parameters`, a tied one by its first.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__(slots=1)
        self._own = dict(backbone.named_parameters())
        names = {id(parameter): name for name, parameter in self._own.items()}
        self._places: dict[str, list[tuple[nn.Module, str]]] = {name: [] for name in self._own}
        for module in backbone.modules():
            for local, parameter in module.named_parameters(recurse=False):
                self._places[names[id(parameter)]].append((module, local))

    @abstractmethod
    def weight(self, name: str) -> Tensor:
        """A weight of the backbone as it is now, of the shape and precision of the backbone's own."""

    def _substitute(self, name: str) -> None:
        """Has every module that holds a parameter compute with `weight(name)`."""
        for module, local in self._places[name]:
            self._substitute_in(module, local, name)

    def _substitute_in(self, module: nn.Module, local: str, name: str) -> None:
        under_way: list[ExitStack] = []

        def enter(_module: nn.Module, _inputs: Any) -> None:
            weight, call = self.weight(name), ExitStack()
            if torch.is_grad_enabled() and weight.ndim > 1:
                call.enter_context(self._made_anew(name, weight))
            # The table of parameters, not the attribute: a module takes only an nn.Parameter there, and this is none.
            parameters: dict[str, Any] = module._parameters
            call.callback(parameters.__setitem__, local, parameters[local])
            parameters[local] = weight
            under_way.append(call)

        def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
            if under_way:  # empty if `enter` itself has failed
                under_way.pop().close()

        self.on_detach(module.register_forward_pre_hook(enter).remove)
        self.on_detach(module.register_forward_hook(leave, always_call=True).remove)

    def _made_anew(self, name: str, weight: Tensor) -> torch.autograd.graph.saved_tensors_hooks:
        """Autograd keeps, of a weight and its views, the shape only."""
        address = weight.untyped_storage().data_ptr()

        def pack(tensor: Tensor) -> Any:
            if tensor.untyped_storage().data_ptr() != address:
                return tensor
            return tensor.size(), tensor.stride(), tensor.storage_offset()

        def unpack(packed: Any) -> Tensor:
            if isinstance(packed, Tensor):
                return packed
            with torch.no_grad():
                return self.weight(name).as_strided(*packed)

        return torch.autograd.graph.saved_tensors_hooks(pack, unpack)

    @torch.no_grad()
    def merge(self) -> None:
        """Writes the weights into the backbone."""
        for name, own in self._own.items():
            own.copy_(self.weight(name))
        self.detach()
