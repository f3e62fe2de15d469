"""What a worker does with the runs that it is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tfew_pl.matmul_precision import Choice as MatmulPrecision
from tfew_pl.matmul_precision import set_matmul_precision
from tfew_pl.spec import RunSpec

Progress = Callable[[str, float], None]
"""Told the stage, `training` or `evaluation`, and the share of it that is done."""


class Job(Protocol):
    """Executes runs.

    It is sent to worker processes: it can be pickled, and it imports what is heavy only when it is called.
    """

    def __call__(self, specs: Sequence[RunSpec], progress: Progress) -> Sequence[float]:
        """Does runs together, leaves their records in the store and returns their accuracies, shares.

        Raises:
            Exception: one of them failed; what is done next is not affected.
        """
        ...


@dataclass(frozen=True)
class RunAndSave:
    """The job of every launcher: run the specs, save the records."""

    store: Path
    """Folder of the records."""
    threads: int = 1
    """Threads of PyTorch; on a CPU, numbers depend on them."""
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Flags of Lightning's Trainer."""
    keep_adaptations: bool = True
    """Whether records keep what was trained."""
    checkpoint_every: int = 100
    """Steps after which a training's state is kept, to be taken up again by who does a killed run anew; 0 for never."""
    loggers: tuple[str, ...] = ()
    """Names of `tfew_pl.loggers`; they write into the store's folder."""
    matmul_precision: MatmulPrecision = "auto"
    """Of fp32 products; numbers depend on it."""
    compiled: bool = False
    """Whether trainings are compiled, those that can be."""

    def __call__(self, specs: Sequence[RunSpec], progress: Progress) -> tuple[float, ...]:
        """Does them and returns the medians of their accuracies over templates."""
        import torch

        from tfew_pl.allocator import keep_freed_memory
        from tfew_pl.compiled import CompiledStacks, can_be_compiled
        from tfew_pl.loggers import LogTo
        from tfew_pl.processes import is_first
        from tfew_pl.record import median_accuracy
        from tfew_pl.resume import Checkpoint
        from tfew_pl.run import run_group
        from tfew_pl.store import CHECKPOINTS, RunStore

        torch.set_num_threads(self.threads)
        keep_freed_memory()
        set_matmul_precision(self.matmul_precision)
        store = RunStore(self.store)
        checkpoint = None
        if self.checkpoint_every and specs[0].trains:
            checkpoint = Checkpoint(self.store / CHECKPOINTS, specs, self.checkpoint_every)
        log = LogTo(self.loggers, self.store)
        flags = dict(self.trainer)
        if self.compiled and can_be_compiled(specs[0]):
            flags["callbacks"] = [CompiledStacks()]
        records = run_group(specs, progress=progress, trainer=flags, checkpoint=checkpoint, log=log)
        if is_first():
            for record in records:
                store.save(record if self.keep_adaptations else replace(record, adaptation=None))
            if checkpoint is not None:
                checkpoint.forget()
        return tuple(median_accuracy(record.accuracy) for record in records)
