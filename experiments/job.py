"""What a worker does with a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tfew_pl.spec import RunSpec

Progress = Callable[[str, float], None]
"""Told the stage, `training` or `evaluation`, and the share of it that is done."""


class Job(Protocol):
    """Executes a run.

    It is sent to worker processes: it can be pickled, and it imports what is heavy only when it is called.
    """

    def __call__(self, spec: RunSpec, progress: Progress) -> float:
        """Leaves the run's record in the store and returns its accuracy, a share.

        Raises:
            Exception: the run failed; the next run is not affected.
        """
        ...


@dataclass(frozen=True)
class RunAndSave:
    """The job of every launcher: run the spec, save the record."""

    store: Path
    """Folder of the records."""
    threads: int = 1
    """Threads of PyTorch; on a CPU, numbers depend on them."""
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Flags of Lightning's Trainer."""

    def __call__(self, spec: RunSpec, progress: Progress) -> float:
        """Runs it and returns the median of the accuracy over templates."""
        import torch

        from tfew_pl.run import run
        from tfew_pl.store import RunStore

        torch.set_num_threads(self.threads)
        record = run(spec, progress=progress, trainer=self.trainer)
        RunStore(self.store).save(record)
        return record.median_accuracy
