"""Runners on other machines, watched through the store that they share."""

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Protocol

from experiments.events import Event, Started
from experiments.launchers.errand import Errand
from experiments.launchers.launcher import LauncherError
from experiments.work_queue import WorkQueue
from tfew_pl.leases import holders
from tfew_pl.store import LEASES

_LOOK_SECONDS = 1.0
"""Between two looks at the store."""
_PARTING_SECONDS = 10.0
"""For runners that find nothing left to do, before they are ended."""


class Cluster(Protocol):
    """Where runners are started."""

    def start(self, errand: Errand, count: int) -> None:
        """Starts as many runners, now or as soon as there is room.

        Raises:
            LauncherError: it does not take them.
        """
        ...

    def running(self) -> int:
        """How many run, or wait for room."""
        ...

    def trouble(self) -> str:
        """Why runners that have ended did not end well, in a line; empty if they did."""
        ...

    def stop(self) -> None:
        """Ends those that still run."""
        ...


class RemoteRunners:
    """Has a cluster do the runs.

    Args:
        cluster: on which.
        errand: of every runner.
        count: of runners.
    """

    def __init__(self, cluster: Cluster, errand: Errand, count: int) -> None:
        self._cluster = cluster
        self._errand = errand
        self._count = count

    def execute(self, queue: WorkQueue) -> Generator[Event, None, None]:
        """Waits until every run has ended, and tells what can be seen of them: who holds which lease, what is done.

        Raises:
            LauncherError: no runner is left, and runs are.
        """
        shown: dict[str, set[str]] = {}
        self._cluster.start(replace(self._errand, since=queue.since), self._count)
        try:
            while queue.open:
                left = self._cluster.running()
                yield from self._started(queue, shown)
                yield from queue.news(look=True)
                if queue.open and not left:
                    why = self._cluster.trouble() or "they ended without a word"
                    raise LauncherError(f"no runner is left, and {len(queue.unreported())} runs are: {why}")
                if queue.open:
                    time.sleep(_LOOK_SECONDS)
            self._part()
        finally:
            self._cluster.stop()

    def _part(self) -> None:
        """Lets runners give their leases back."""
        end = time.monotonic() + _PARTING_SECONDS
        while self._cluster.running() and time.monotonic() < end:
            time.sleep(0.1)

    def _started(self, queue: WorkQueue, shown: dict[str, set[str]]) -> Iterator[Event]:
        """What runners have begun since the last look; they are numbered as they are first seen."""
        held: dict[str, list[str]] = {}
        for digest, owner in holders(queue.store.folder / LEASES).items():
            held.setdefault(str(owner), []).append(digest)
        runs = {run.spec.digest: run for run in queue.unreported()}
        for name, digests in held.items():
            known = shown.setdefault(name, set())
            begun = [runs[digest] for digest in digests if digest in runs and digest not in known]
            known.update(digests)
            if begun:
                yield Started(begun[0], list(shown).index(name), len(begun) - 1)
