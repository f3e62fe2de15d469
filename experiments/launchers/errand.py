"""What is sent to another machine: a runner of the same grid on the same store."""

from contextlib import chdir, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from experiments.display import LineDisplay
from experiments.groups import Group
from experiments.job import Job
from experiments.launchers.local import LocalWorkers
from experiments.placement import placement
from experiments.runner import do_runs, prepare
from experiments.signals import interrupted_by_termination
from tfew_pl.leases import EXPIRY_SECONDS
from tfew_pl.store import LOGS, RunStore


@dataclass(frozen=True)
class Errand:
    """Does, with one worker, what is left of a grid and nobody else is doing; it ends when the grid does.

    It can be pickled. What it needs are the same code, the same Python packages and the folder of the store.
    """

    groups: tuple[Group, ...]
    store: RunStore
    """By an absolute path that is the same on every machine."""
    job: Job
    threads: int
    retries: int
    expiry: float = EXPIRY_SECONDS
    since: float | None = None
    """A run that has failed since then, by the clock of the store's disk, is not tried again; None for the start of
    this runner.
    """
    folder: Path = field(default_factory=Path.cwd)
    """To which relative paths in the runs' specs belong."""

    def __call__(self) -> int:
        """Returns how many runs it did. A batch system that ends it gives it time to give its leases back."""
        from rich.console import Console

        prepare(self.store)
        place = placement(1, self.threads, 1)
        launcher = LocalWorkers(self.job, place.environments, self.store.folder / LOGS, self.retries)
        runs = [run for group in self.groups for run in group]
        display = LineDisplay(runs, 1, Console(width=1000, highlight=False, color_system=None))
        here = chdir(self.folder) if self.folder.is_dir() else nullcontext()
        with interrupted_by_termination(), here, display:
            return do_runs(self.groups, self.store, launcher, display, self.expiry, self.since).finished
