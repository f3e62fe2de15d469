"""The inside of a worker process: it does what it is sent, and tells how they go."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Literal

from experiments.job import Job
from tfew_pl.errors import UserError
from tfew_pl.spec import RunSpec
from tfew_pl.store import disk_refuses

_PROGRESS_SECONDS = 0.2
"""Least time between two reports of progress."""


@dataclass(frozen=True)
class Ready:
    """The process has started."""


@dataclass(frozen=True)
class Reached:
    """A run has come so far."""

    stage: str
    fraction: float


@dataclass(frozen=True)
class Done:
    """The records of the assignment are in the store."""

    accuracies: tuple[float, ...]
    """Of the runs in order: medians over templates, shares."""


@dataclass(frozen=True)
class Broken:
    """The assignment raised; its traceback is in its log."""

    reason: str
    cause: Literal["user", "disk", "other"]
    """`user`: a UserError, after which the process is as good as before. `disk`: it does not take what is written."""


@dataclass(frozen=True)
class Assignment:
    """What the parent process sends: runs to be done together, and the file for what they write."""

    specs: tuple[RunSpec, ...]
    log: Path


def serve(connection: Connection, job: Job, environment: Mapping[str, str]) -> None:
    """Does assignments until the parent process closes the connection.

    Args:
        connection: to the parent process.
        job: what to do with a run.
        environment: variables to set before anything heavy is imported.
    """
    # Ctrl-C and a scheduler's SIGTERM reach the whole process group; the parent alone decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, name="watch over the parent process", daemon=True).start()
    # Lightning would take a worker that Slurm's job has started for one of several of its own.
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        del os.environ[name]
    os.environ.update(environment)
    # Sending fails, and receiving ends, when the parent is gone: then there is nobody to work for.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(Ready())
        while True:
            assignment: Assignment = connection.recv()
            connection.send(_attempt(connection, job, assignment))


def _die_with_parent() -> None:
    """The leases are the parent's: without it, somebody else will do the run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _attempt(connection: Connection, job: Job, assignment: Assignment) -> Done | Broken:
    last = 0.0

    def progress(stage: str, fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS:
            last = now
            try:
                connection.send(Reached(stage, fraction))
            except OSError:
                os._exit(1)  # the parent is gone

    try:
        with _output_to(assignment.log):
            try:
                accuracies = job(assignment.specs, progress)
            except Exception as error:
                # A disk that is full takes no traceback either.
                with contextlib.suppress(OSError):
                    traceback.print_exception(error)
                raise
    except Exception as error:  # noqa: BLE001  # whatever it raises, an assignment fails alone
        if disk_refuses(error):
            return Broken(_first_line(error), "disk")
        if isinstance(error, UserError):
            return Broken(_first_line(error), "user")
        return Broken(f"{type(error).__name__}: {_first_line(error)}", "other")
    with contextlib.suppress(OSError):
        assignment.log.unlink()
    return Done(tuple(accuracies))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Sends everything that the process writes, its libraries included, to a file."""
    kept = [os.dup(1), os.dup(2)]
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number in (1, 2):
        os.dup2(target, number)
    os.close(target)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
