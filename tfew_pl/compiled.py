"""Compiling T5's stacks for a training: fewer passes over memory a step, for a minute of a compiler's work at first.

PyTorch's compiler fuses what stands between the matrix products. What it makes holds for all lengths and numbers of
examples, and is made once for each number of choices; where these share a start (see `choice_layout`), once for all.
The next trainings of a process use it again, of other seeds and tasks too, except with prefix tuning; another process
finds it in the compiler's cache. Compiled stacks are given padded sequences, not packed ones, and weights that a method
changes are made for a whole stack at a time.

On a CPU it takes a tenth to a third off a training step of the pocket backbones (results/benchmarks), and pays from
about ten trainings of a method on: it is off unless asked for. Numbers differ in rounding from those of a training
without it, and, as the compiler goes by the first shapes that it sees, a training that is taken up again may differ in
rounding from one that was not interrupted.
"""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation
from tfew_pl.quiet import quiet_compiler
from tfew_pl.registry import registered_classifiers
from tfew_pl.spec import RunSpec

LARGEST_NUMBER_OF_GRAPHS = 64
"""That a stack is compiled to in one process: one for each method, number of slots and number of choices."""


def has_compiler() -> bool:
    """Whether there is the C++ compiler that PyTorch's needs on a CPU."""
    return shutil.which("g++") is not None


def require_compiler() -> None:
    """Checks that there is what PyTorch's compiler needs.

    Raises:
        UserError: there is no C++ compiler, nor a GPU for which it needs none.
    """
    if not torch.cuda.is_available() and not has_compiler():
        raise UserError("--compile needs a C++ compiler: install g++, or leave it out")


def can_be_compiled(spec: RunSpec) -> bool:
    """Whether a run trains a method on a backbone; SetFit and its like train one of their own."""
    return spec.trains and spec.method not in registered_classifiers()


class CompiledStacks(pl.Callback):
    """Has a `TFewModule`'s encoder and decoder run compiled while they are trained.

    Args:
        backend: of `torch.compile`.

    Raises:
        UserError: there is nothing to compile with.
    """

    def __init__(self, backend: str | Callable[..., Any] = "inductor") -> None:
        if backend == "inductor":
            require_compiler()
        self._backend = backend
        self._undo = ExitStack()

    def on_fit_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Compiles, when they are first called, what runs without a compiler otherwise."""
        settings = torch._dynamo.config.patch(
            recompile_limit=LARGEST_NUMBER_OF_GRAPHS,
            force_nn_module_property_static_shapes=False,  # an adaptation holds the slots of a batch
        )
        self._undo.enter_context(settings)
        for stack in (module.backbone.encoder, module.backbone.decoder):
            if "forward" not in vars(stack):  # otherwise an adaptation has put its own there
                vars(stack)["forward"] = _compiled(stack, module.adaptation, self._backend)
                self._undo.callback(vars(stack).pop, "forward")

    def on_fit_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Leaves the stacks as they were."""
        self._undo.close()

    def on_exception(self, trainer: pl.Trainer, module: Any, exception: BaseException) -> None:
        """The same."""
        self.on_fit_end(trainer, module)


def _compiled(stack: nn.Module, adaptation: Adaptation, backend: str | Callable[..., Any]) -> Callable[..., Any]:
    with quiet_compiler():
        compiled = torch.compile(stack.forward, backend=backend)

    def call(**inputs: Any) -> Any:
        # Parts of a batch are views of it, and a graph holds for one layout.
        inputs = {name: value.contiguous() if isinstance(value, Tensor) else value for name, value in inputs.items()}
        for value in (*inputs.values(), adaptation.slot_of_example):
            if isinstance(value, Tensor):
                _may_vary(value)
        with adaptation.ahead(stack), quiet_compiler():
            return compiled(**inputs)

    return call


def _may_vary(tensor: Tensor) -> None:
    """Marks the sizes of ids, states and masks that differ from batch to batch: rows, tokens and keys."""
    keys = tensor.ndim - 1 if tensor.ndim == 4 else 1
    for dimension in {0, min(keys, tensor.ndim - 1)}:
        if tensor.shape[dimension] > 1:
            torch._dynamo.maybe_mark_dynamic(tensor, dimension)
