"""Doing what a grid asks for and the store does not have."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from experiments.events import Event, Failed, Finished, FinishedElsewhere
from experiments.failures import Failure, Failures
from experiments.grid import GridRun
from experiments.groups import Group
from experiments.launchers.launcher import Launcher
from experiments.work_queue import WorkQueue
from tfew_pl.leases import EXPIRY_SECONDS, Leases
from tfew_pl.store import FAILURES, LEASES, LOGS, RunStore, disk_refuses


@dataclass(frozen=True)
class Summary:
    """How a grid ended."""

    finished: int
    """Runs that this runner did."""
    elsewhere: int
    """Runs that others did meanwhile."""
    failures: tuple[Failed, ...]
    seconds: float


def missing(runs: Sequence[GridRun], store: RunStore) -> list[GridRun]:
    """The runs that have no record yet, in order."""
    finished = store.digests()
    return [run for run in runs if run.spec.digest not in finished]


def prepare(store: RunStore) -> None:
    """Makes the store's folders, and clears away what killed writers left there.

    Raises:
        UnwritableStoreError: it cannot be written.
    """
    store.require_writable()
    try:
        for folder in (LOGS, LEASES, FAILURES):
            (store.folder / folder).mkdir(parents=True, exist_ok=True)
        store.clean()
    except OSError as error:
        raise store.unwritable(error) from error


def do_runs(
    groups: Sequence[Group],
    store: RunStore,
    launcher: Launcher,
    observe: Callable[[Event], None],
    expiry: float = EXPIRY_SECONDS,
    since: float | None = None,
) -> Summary:
    """Has a launcher do the runs that have no record. One that fails does not keep the others from being done.

    Any number of runners may share a store: a run is done by one of them, and each ends when all runs have ended.

    Args:
        groups: of all runs of a grid.
        store: where the launcher's workers leave the records; see `prepare`.
        launcher: who does it.
        observe: told everything that happens.
        expiry: seconds without a sign of life after which a runner on another machine is taken for dead.
        since: a run that has failed since then, by the clock of the store's disk, is not tried again; None for now.

    Raises:
        UnwritableStoreError: the store takes no more records.
    """
    start = time.monotonic()
    finished, elsewhere, failed = 0, 0, []
    failures = Failures(store.folder)
    try:
        with Leases(store.folder / LEASES, expiry) as leases:
            queue = WorkQueue(groups, store, leases, failures, store.digests(), since)
            with closing(launcher.execute(queue)) as events:
                for event in events:
                    if isinstance(event, Finished) and event.run.spec not in store:
                        reason = "its inputs changed after the grid had started: its record is another run's"
                        event = Failed(event.run, event.worker, reason, event.seconds, store.folder / LOGS)
                    match event:
                        case Finished():
                            failures.forget(event.run.spec.digest)
                            finished += 1
                        case FinishedElsewhere():
                            elsewhere += 1
                        case Failed():
                            failed.append(event)
                            if event.worker is not None:
                                _note(failures, event)
                    if isinstance(event, Finished | Failed):
                        queue.report(event.run)
                    observe(event)
    except OSError as error:
        if disk_refuses(error):
            raise store.unwritable(error) from error
        raise
    return Summary(finished, elsewhere, tuple(failed), time.monotonic() - start)


def _note(failures: Failures, event: Failed) -> None:
    failures.note(event.run.spec.digest, Failure(event.run.spec.label(), event.reason, str(event.log), event.seconds))
