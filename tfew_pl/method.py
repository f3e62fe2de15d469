"""The interface of a PEFT method, and what a method leaves on a backbone: an adaptation.

A method *attaches* to a backbone and gives an `Adaptation`. Its trainable parameters form a bank of *slots*:
every parameter's first dimension counts slots, and a batch says for each example which slot it uses.
One slot is ordinary training; several are mixed-task batches (Section 2.1) or several runs in one pass.
A method that changes weights, which a batch shares, has one slot, and says so by `slotted = False`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakSet

import torch
from torch import Tensor, nn

from tfew_pl.backbones import T5_FAMILY
from tfew_pl.entries import Entries
from tfew_pl.errors import UserError
from tfew_pl.options import configure
from tfew_pl.quantization import is_quantized
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of values, a slot."""

    trainable: int
    """What training updates."""
    stored: int
    """What the adaptation's file holds; an index counts as a value."""
    inference_extra: int
    """What inference needs beside the backbone's own weights, once all that can be merged is."""


_ADAPTED: WeakSet[nn.Module] = WeakSet()
"""Backbones that have an adaptation."""
_under_construction: ContextVar[list["Adaptation"] | None] = ContextVar("under_construction", default=None)
"""What `Method.attach` has made so far, which it takes back if it fails."""


class Adaptation(nn.Module):
    """A method's parameters, attached to a backbone.

    The backbone is referred to, not owned: `parameters()` and `state_dict()` hold the method's tensors only.
    What attaching changes on the backbone is taken back by `detach`: a method notes each change by `on_detach`.

    Args:
        slots: number of parameter sets.
    """

    by_vector: bool = False
    """Whether it changes each vector by itself, whatever else there is in its row, so that sequences may be packed."""
    before_decoder: int = 0
    """Vectors that it puts before the decoder's input, so that they can be run once for all choices of an example."""

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots
        self.on_quantized = False
        """Whether the backbone's weights are quantized, so that nothing can be merged into them."""
        self._undo: list[Callable[[], None]] = []
        self._slot_of_example: Tensor | None = None
        self._slot_of_row: dict[int, Tensor] = {}
        made = _under_construction.get()
        if made is not None:
            made.append(self)

    def on_detach(self, undo: Callable[[], None]) -> None:
        """Notes how to take back a change of the backbone, such as a hook handle's `remove`; last in, first out."""
        self._undo.append(undo)

    def replace_forward(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        """Has a module of the backbone compute something else until `detach`. Its hooks run as before."""
        instances = vars(module)
        before = instances.get("forward")

        def undo() -> None:
            if before is None:
                instances.pop("forward")
            else:
                instances["forward"] = before

        instances["forward"] = forward
        self.on_detach(undo)

    @contextmanager
    def use_slots(self, slot_of_example: Tensor | None) -> Iterator[None]:
        """Within it, a forward pass uses these slots.

        Args:
            slot_of_example: (batch,), the slot of each example; None for slot 0 throughout.

        Raises:
            UserError: there is no such slot. On a GPU, which this would wait for, it is not looked at.
        """
        if slot_of_example is not None and slot_of_example.device.type == "cpu":
            self._check_slots(slot_of_example)
        before = self._slot_of_example
        self._slot_of_example = slot_of_example
        self._slot_of_row.clear()
        try:
            yield
        finally:
            self._slot_of_example = before
            self._slot_of_row.clear()

    def _check_slots(self, slot_of_example: Tensor) -> None:
        last = self.slots - 1
        if len(slot_of_example) and not (int(slot_of_example.min()) >= 0 and int(slot_of_example.max()) <= last):
            raise UserError(f"slots {slot_of_example.tolist()}: the adaptation has {self.slots}, from 0 to {last}")

    def passes(self, slot_of_example: Tensor | None) -> Callable[[Tensor | None], AbstractContextManager[None]]:
        """What `use_slots` gives for some examples of a batch, by their indices, or for all of them.

        Args:
            slot_of_example: (batch,), as for `use_slots`.
        """

        def within(examples: Tensor | None = None) -> AbstractContextManager[None]:
            some = slot_of_example is not None and examples is not None
            return self.use_slots(slot_of_example[examples] if some else slot_of_example)  # type: ignore[index]

        return within

    @property
    def slot_of_example(self) -> Tensor | None:
        """(batch,), what `use_slots` says; None for slot 0 throughout."""
        return self._slot_of_example

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
        if torch.compiler.is_compiling():  # where the number of rows is a symbol
            return bank.index_select(0, _repeated(index, rows))
        if rows not in self._slot_of_row:
            self._slot_of_row[rows] = _repeated(index, rows)
        return bank.index_select(0, self._slot_of_row[rows])

    def ahead(self, stack: nn.Module) -> AbstractContextManager[None]:
        """Within it, what the method otherwise makes while a stack computes is made, so that the stack can be compiled.

        Here, there is nothing such.

        Args:
            stack: of the backbone, the encoder or the decoder.
        """
        return nullcontext()

    def detach(self) -> None:
        """Leaves the backbone as it was, hooks and all. The parameters stay in this object."""
        while self._undo:
            self._undo.pop()()

    @torch.no_grad()
    def merge(self) -> None:
        """Detaches after folding slot 0 into the backbone's weights, for good.

        What comes out is rounded to the backbone's precision. In bf16, whose numbers are up to 1/128 of themselves
        apart, changes of a weight by less than half of that are lost: merge into fp32 where it matters.

        Raises:
            UserError: the method changes the computation in a way that no weight can express, the weights are
                quantized, or it was merged or detached before.
        """
        if self.on_quantized:
            raise UserError("quantized weights cannot be merged into: load the backbone as bf16 or fp32")
        if not self._undo:
            raise UserError("an adaptation that is on no backbone cannot be merged: it was detached, or merged before")
        self.fold()
        self.detach()

    def fold(self) -> None:
        """Writes what slot 0 makes of the backbone's weights into them. `merge` calls it, without gradients.

        Raises:
            UserError: no weight can express it.
        """
        raise UserError("this method cannot be merged into the backbone's weights")

    @property
    def mergeable(self) -> bool:
        """Whether `merge` is possible on this backbone."""
        return type(self).fold is not Adaptation.fold and not self.on_quantized

    def stored(self) -> dict[str, Tensor]:
        """What is written to the adaptation's file; (slots, *shape) each where the method has slots.

        Here, the parameters and buffers; one that two modules share is there once.
        """
        return {n: t.detach() for own in (self.named_parameters(), self.named_buffers()) for n, t in own}

    @torch.no_grad()
    def load_stored(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `stored` gave: tensors of the same names and shapes."""
        own = self.state_dict()
        for name, tensor in tensors.items():
            own[name].copy_(tensor)

    @torch.no_grad()
    def fill(self, starts: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes over the `state_dict` of an adaptation of one slot for each of its slots."""
        self.load_state_dict({name: torch.cat([start[name] for start in starts]) for name in starts[0]})

    def entries(self) -> Mapping[nn.Parameter, Entries]:
        """Which parameters are entries of larger tensors, as which they are updated; see `SlotAdafactor`. Here none."""
        return {}

    def counts(self) -> ParameterCounts:
        """How many values a slot of it has. Works on the meta device.

        Here, inference needs nothing extra where `merge` is possible, else all that is stored.
        """
        stored = sum(tensor.numel() for tensor in self.stored().values()) // self.slots
        return ParameterCounts(
            trainable=sum(p.numel() for p in self.parameters() if p.requires_grad) // self.slots,
            stored=stored,
            inference_extra=0 if self.mergeable else stored,
        )


class Method(ABC):
    """A way to adapt a backbone. A subclass declares what is below and `build`, and is an entry point.

    Args:
        options: fields of the configuration that differ from their defaults.

    Raises:
        UserError: an option is unknown or does not fit.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for a listing."""
    Config: ClassVar[type]
    """A frozen dataclass; its defaults are the paper's hyperparameters."""
    recipe: ClassVar[Mapping[str, Any]] = {}
    """Fields of the recipe that the paper sets for this method (App. D); explicit values win."""
    remarks: ClassVar[Remarks] = Remarks()
    """Where the paper, its released code and this class are not the same."""
    slotted: ClassVar[bool] = True
    """Whether it can hold several slots."""
    mergeable: ClassVar[bool] = False
    """Whether it can be folded into the weights of a T5."""
    needs_setting: ClassVar[bool] = False
    """Whether it can be attached only with a `Setting`, other than to count its parameters on the meta device."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.config: Any = configure(self.Config, self.name, options)

    def attach(
        self, backbone: nn.Module, *, slots: int = 1, generator: torch.Generator, setting: Setting | None = None
    ) -> Adaptation:
        """Puts the method on a backbone. No weight of the backbone changes, none is left trainable.

        Args:
            backbone: a T5-family model.
            slots: number of parameter sets.
            generator: draws what the method initializes at random.
            setting: the run; few methods need it.

        Raises:
            UserError: the method cannot hold so many slots, needs a setting, or does not fit the backbone; or the
                backbone has an adaptation.
        """
        if backbone in _ADAPTED:
            raise UserError(f"method {self.name}: the backbone has an adaptation; detach or merge that first")
        family = getattr(getattr(backbone, "config", None), "model_type", None)
        if family not in T5_FAMILY:
            raise UserError(
                f"method {self.name} needs a backbone of the T5 family, not a {family or type(backbone).__name__}"
            )
        if slots < 1 or (slots > 1 and not self.slotted):
            why = " (it changes weights, which a batch shares)" if slots > 1 else ""
            raise UserError(f"method {self.name} cannot have {slots} slots{why}: give it one")
        on_meta = any(p.is_meta for p in backbone.parameters())
        if self.needs_setting and setting is None and not on_meta:
            raise UserError(
                f"method {self.name} needs the run's training examples or tokenizer: attach it with a setting"
            )
        quantized = is_quantized(backbone)
        if quantized and not self.slotted:
            raise UserError(f"method {self.name} changes weights, and these are quantized: load them as bf16 or fp32")
        trainable = [p for p in backbone.parameters() if p.requires_grad]

        def unfreeze() -> None:
            for parameter in trainable:
                parameter.requires_grad_(True)

        backbone.requires_grad_(False)
        made: list[Adaptation] = []
        outer = _under_construction.set(made)
        try:
            adaptation = self.build(backbone, slots=slots, generator=generator, setting=setting)
        except BaseException:
            for unfinished in reversed(made):
                unfinished.detach()
            unfreeze()
            raise
        finally:
            _under_construction.reset(outer)
        adaptation._undo.insert(0, unfreeze)
        adaptation.on_quantized = quantized
        if not any(p.requires_grad for p in adaptation.parameters()):
            adaptation.detach()
            raise UserError(f"method {self.name} has nothing to train on a {type(backbone).__name__}")
        _ADAPTED.add(backbone)
        adaptation.on_detach(lambda: _ADAPTED.discard(backbone))
        return adaptation

    @abstractmethod
    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> Adaptation:
        """The adaptation, its hooks in place, on a backbone that `attach` has frozen; arguments as there."""


def _repeated(index: Tensor, rows: int) -> Tensor:
    """(batch,) -> (rows,): each one as often as its example has rows, next to each other."""
    return index[:, None].expand(-1, rows // len(index)).reshape(rows)
