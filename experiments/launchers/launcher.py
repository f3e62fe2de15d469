"""The one interface of all launchers."""

from collections.abc import Generator
from typing import Protocol

from experiments.events import Event
from experiments.work_queue import WorkQueue


class Launcher(Protocol):
    """Has the runs of a queue done."""

    def execute(self, queue: WorkQueue) -> Generator[Event, None, None]:
        """Does what the queue gives out, or waits for others that do, and tells what happens to each run.

        It ends when every run has ended. Closing the generator stops everything that it started.

        Raises:
            UnwritableStoreError: no record can be written, so that there is no use in going on.
            LauncherError: nothing can be started.
        """
        ...


class LauncherError(RuntimeError):
    """What should do the runs cannot be started."""
