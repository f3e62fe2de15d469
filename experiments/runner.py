"""Doing what a grid asks for and the store does not have."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from experiments.events import Event, Failed, Finished
from experiments.grid import GridRun
from experiments.workers import Launcher
from tfew_pl.errors import UserError
from tfew_pl.store import RunStore

LOGS = "logs"
"""Folder of the store for the logs of failed runs."""


@dataclass(frozen=True)
class Summary:
    """How a grid ended."""

    finished: int
    failures: tuple[Failed, ...]
    seconds: float


def missing(runs: Sequence[GridRun], store: RunStore) -> list[GridRun]:
    """The runs that have no record yet, in order."""
    finished = store.digests()
    return [run for run in runs if run.spec.digest not in finished]


def prepare(store: RunStore) -> None:
    """Makes the store's folders, and clears away what killed writers left there.

    Raises:
        UserError: it cannot be written.
    """
    try:
        (store.folder / LOGS).mkdir(parents=True, exist_ok=True)
        store.clean()
    except OSError as error:
        raise UserError(f"cannot write to the store {store.folder}: {error.strerror or error}") from error


def do_runs(runs: Sequence[GridRun], store: RunStore, launcher: Launcher, observe: Callable[[Event], None]) -> Summary:
    """Has a launcher do the runs. A run that fails does not keep the others from being done.

    Args:
        runs: what to do.
        store: where the launcher's workers leave the records.
        launcher: who does it.
        observe: told everything that happens.
    """
    start = time.monotonic()
    finished, failures = 0, []
    logs = store.folder / LOGS
    try:
        with closing(launcher.execute(runs)) as events:
            for event in events:
                if isinstance(event, Finished) and event.run.spec not in store:
                    reason = "its inputs changed after the grid had started: its record is another run's"
                    event = Failed(event.run, event.worker, reason, event.seconds, logs)
                if isinstance(event, Finished):
                    finished += 1
                elif isinstance(event, Failed):
                    failures.append(event)
                observe(event)
    finally:
        with suppress(OSError):  # it stays while there are logs in it
            logs.rmdir()
    return Summary(finished, tuple(failures), time.monotonic() - start)
