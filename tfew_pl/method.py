"""The interface of a PEFT method, and what a method leaves on a backbone: an adaptation.

A method *attaches* to a backbone and gives an `Adaptation`. Its trainable parameters form a bank of *slots*:
every parameter's first dimension counts slots, and a batch says for each example which slot it uses.
One slot is ordinary training; several are mixed-task batches (Section 2.1) or several runs in one pass.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tfew_pl.errors import UserError


class Adaptation(nn.Module):
    """A method's parameters, attached to a backbone.

    The backbone is referred to, not owned: `parameters()` and `state_dict()` hold the method's tensors only.

    Args:
        slots: number of parameter sets.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots
        self._handles: list[RemovableHandle] = []
        self._slot_of_example: Tensor | None = None

    @contextmanager
    def use_slots(self, slot_of_example: Tensor | None) -> Iterator[None]:
        """Within it, a forward pass uses these slots.

        Args:
            slot_of_example: (batch,), the slot of each example; None for slot 0 throughout.
        """
        self._slot_of_example = slot_of_example
        try:
            yield
        finally:
            self._slot_of_example = None

    def select(self, bank: Tensor, rows: int) -> Tensor:
        """The parameters that each row of an activation uses.

        Args:
            bank: (slots, *shape).
            rows: rows of the activation: a multiple of the batch, an example's rows next to each other.

        Returns:
            (1, *shape) when every row uses slot 0, else (rows, *shape).
        """
        index = self._slot_of_example
        if self.slots == 1:
            return bank
        if index is None:
            return bank[:1]
        return bank[index.repeat_interleave(rows // len(index))]

    def detach(self) -> None:
        """Leaves the backbone as it was, hooks and all. The parameters stay in this object."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def merge(self) -> None:
        """Detaches after folding slot 0 into the backbone's weights, for good.

        Raises:
            UserError: the method changes the computation in a way that no weight can express.
        """
        raise UserError("this method cannot be merged into the backbone's weights")


class Method(ABC):
    """A way to adapt a backbone. A subclass declares a frozen dataclass `Config` and is an entry point.

    Args:
        options: fields of the configuration that differ from their defaults.

    Raises:
        UserError: an option is unknown or does not fit.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for a listing."""
    Config: ClassVar[type]

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        known = {field.name for field in dataclasses.fields(self.Config)}
        unknown = sorted(set(options or {}) - known)
        if unknown:
            raise UserError(
                f"method {self.name} has no option {', '.join(unknown)}; it has {', '.join(sorted(known)) or 'none'}"
            )
        self.config: Any = self.Config(**(options or {}))

    @abstractmethod
    def attach(self, backbone: nn.Module, *, slots: int = 1, generator: torch.Generator) -> Adaptation:
        """Puts the method on a backbone. No weight of the backbone changes, none is left trainable.

        Args:
            backbone: a T5-family model.
            slots: number of parameter sets.
            generator: draws what the method initializes at random.
        """
