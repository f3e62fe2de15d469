"""The inside of a worker process: it does the runs that it is sent, and tells how they go."""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from experiments.job import Job
from tfew_pl.errors import UserError
from tfew_pl.spec import RunSpec

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
    """The run's record is in the store."""

    accuracy: float


@dataclass(frozen=True)
class Broken:
    """The run raised; its traceback is in its log."""

    reason: str
    by_user: bool
    """Whether it was a UserError, after which the process is as good as before."""


@dataclass(frozen=True)
class Assignment:
    """What the parent process sends: a run, and the file for what it writes."""

    spec: RunSpec
    log: Path


def serve(connection: Connection, job: Job, environment: Mapping[str, str]) -> None:
    """Does assignments until the parent process closes the connection.

    Args:
        connection: to the parent process.
        job: what to do with a run.
        environment: variables to set before anything heavy is imported.
    """
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)
    # Sending fails, and receiving ends, when the parent is gone: then there is nobody to work for.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(Ready())
        while True:
            assignment: Assignment = connection.recv()
            connection.send(_attempt(connection, job, assignment))


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

    with _output_to(assignment.log):
        try:
            accuracy = job(assignment.spec, progress)
        except Exception as error:  # noqa: BLE001  # whatever it raises, a run fails alone
            traceback.print_exc()
            if isinstance(error, UserError):
                return Broken(_first_line(error), by_user=True)
            return Broken(f"{type(error).__name__}: {_first_line(error)}", by_user=False)
    with contextlib.suppress(OSError):
        assignment.log.unlink()
    return Done(accuracy)


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
            stream.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
