"""Adaptations that change weights: a module computes with other weights than its own, for the length of a call."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._C._autograd import _top_saved_tensors_default_hooks
from torch.autograd.graph import saved_tensors_hooks

from tfew_pl.method import Adaptation


class _View(NamedTuple):
    """What is kept of a weight, or of a view of it: how to find the same in one made anew."""

    size: torch.Size
    stride: tuple[int, ...]
    offset: int | torch.SymInt


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

    by_vector = True

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__(slots=1)
        self._own = dict(backbone.named_parameters())
        names = {id(parameter): name for name, parameter in self._own.items()}
        self._places: dict[str, list[tuple[nn.Module, str]]] = {name: [] for name in self._own}
        self._substituted: list[tuple[nn.Module, str, str]] = []
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
        compute = module.forward

        def forward(*inputs: Any, **named: Any) -> Any:
            weight = self.weight(name)
            kept = self._made_anew(name, weight) if torch.is_grad_enabled() and weight.ndim > 1 else nullcontext()
            # The table of parameters, not the attribute: a module takes only an nn.Parameter there, and this is none.
            parameters: dict[str, Any] = module._parameters
            own, parameters[local] = parameters[local], weight
            try:
                with kept:
                    return compute(*inputs, **named)
            finally:
                parameters[local] = own

        self.replace_forward(module, forward)
        self._substituted.append((module, local, name))

    @contextmanager
    def ahead(self, stack: nn.Module) -> Iterator[None]:
        """Within it, the stack's modules compute with weights that are made once, and that autograd keeps.

        Memory: a copy of the stack's weights, and in the backward pass one of their gradients.
        """
        within = set(stack.modules())
        weights: dict[str, Tensor] = {}
        with ExitStack() as undo:
            for module, local, name in self._substituted:
                if module not in within:
                    continue
                weight = weights[name] if name in weights else weights.setdefault(name, self._ahead(name))
                instances, parameters = vars(module), module._parameters
                forward, own = instances.pop("forward", None), parameters[local]
                parameters[local] = weight  # type: ignore[assignment]  # as in `_substitute_in`
                undo.callback(parameters.__setitem__, local, own)
                if forward is not None:
                    undo.callback(instances.__setitem__, "forward", forward)
            yield

    def _ahead(self, name: str) -> Tensor:
        """A weight that wants a gradient in training, whether or not anything of it is trained.

        What is compiled is compiled for the weights that do; of which that holds may differ from training to training.
        """
        weight = self.weight(name)
        if weight.requires_grad or not torch.is_grad_enabled():
            return weight
        return weight.detach().requires_grad_()

    def _made_anew(self, name: str, weight: Tensor) -> saved_tensors_hooks:
        """Autograd keeps, of a weight and its views, the shape only; the rest as it would, checkpointed or not."""
        address = weight.untyped_storage().data_ptr()
        keep, give = _top_saved_tensors_default_hooks(True) or (Tensor.detach, lambda tensor: tensor)

        def pack(tensor: Tensor) -> Any:
            if tensor.untyped_storage().data_ptr() != address:
                return keep(tensor)
            return _View(tensor.size(), tensor.stride(), tensor.storage_offset())

        def unpack(packed: Any) -> Tensor:
            if not isinstance(packed, _View):
                kept: Tensor = give(packed)
                return kept
            with torch.no_grad():
                return self.weight(name).as_strided(*packed)

        return saved_tensors_hooks(pack, unpack)

    def fold(self) -> None:
        """Writes the weights into the backbone."""
        for name, own in self._own.items():
            own.copy_(self.weight(name))
