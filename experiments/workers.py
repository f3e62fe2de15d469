"""Runs in worker processes on this machine, each of which does one run after another."""

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Protocol

from experiments.events import Event, Failed, Finished, Progressed, Started
from experiments.grid import GridRun
from experiments.job import Job
from experiments.worker_process import Assignment, Broken, Done, Reached, Ready, serve


class Launcher(Protocol):
    """Who does the runs: processes of this machine here, other machines later."""

    def execute(self, runs: Sequence[GridRun]) -> Generator[Event, None, None]:
        """Does the runs, in any order, and tells what happens to them. Closing the generator stops it all."""
        ...


class LocalWorkers:
    """Worker processes on this machine.

    They are spawned, so that no state of this process leaks into them; they stay alive from run to run, so
    that imports and backbones are loaded once; each has its own pipe, so that one death harms no other.

    Args:
        job: what to do with a run.
        environments: of each worker, variables to set before anything heavy is imported; as many as workers.
        logs: folder of the runs' logs; a log stays where its run failed.
    """

    def __init__(self, job: Job, environments: Sequence[Mapping[str, str]], logs: Path) -> None:
        self._job = job
        self._environments = environments
        self._logs = logs

    def execute(self, runs: Sequence[GridRun]) -> Generator[Event, None, None]:
        """Does the runs, in the order given.

        Raises:
            RuntimeError: a worker process died before it could do anything.
        """
        pending = deque(runs)
        busy: dict[Connection, _Worker] = {}
        try:
            for number, environment in enumerate(self._environments[: len(runs)]):
                worker = _Worker(number, self._job, environment)
                busy[worker.connection] = worker
            while busy:
                for connection in wait(list(busy)):
                    worker = busy[connection]  # type: ignore[index]
                    yield from worker.news()
                    if worker.run is None and pending:
                        if not worker.alive:
                            del busy[worker.connection]
                            worker = _Worker(worker.number, self._job, self._environments[worker.number])
                            busy[worker.connection] = worker
                        elif worker.ready:
                            run = pending.popleft()
                            worker.assign(run, self._logs / f"{run.spec.digest}.log")
                            yield Started(run, worker.number)
                    elif worker.run is None:
                        del busy[worker.connection]
                        worker.stop()
        finally:
            for worker in busy.values():
                worker.abandon()


class _Worker:
    """A worker process as its parent sees it."""

    def __init__(self, number: int, job: Job, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=serve, args=(theirs, job, environment), name=f"tfew worker {number + 1}"
        )
        self._process.start()
        theirs.close()  # so that the pipe ends when the process does
        self.number = number
        self.ready = False
        self.alive = True
        self.run: GridRun | None = None
        self._log = Path()
        self._start = 0.0

    def assign(self, run: GridRun, log: Path) -> None:
        """Gives it a run. If the process is dead, the next news say so."""
        self.run, self._log, self._start = run, log, time.monotonic()
        with contextlib.suppress(OSError):
            self.connection.send(Assignment(run.spec, log))

    def news(self) -> Iterator[Event]:
        """Takes one message, or the end of the process, and says what it means for the run."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            message = None
        run, seconds = self.run, time.monotonic() - self._start
        match message:
            case Ready():
                self.ready = True
            case Reached(stage, fraction) if run:
                yield Progressed(run, self.number, stage, fraction)
            case Done(accuracy) if run:
                self.run = None
                yield Finished(run, self.number, accuracy, seconds)
            case Broken(reason, by_user) if run:
                self.run = None
                if not by_user:
                    # Nobody knows in what state an exception from the depths leaves a process.
                    self.kill()
                yield Failed(run, self.number, reason, seconds, self._log)
            case _:
                reason = self._death()
                if run is None:
                    raise RuntimeError(f"a worker process could not start: {reason}")
                self.run = None
                yield Failed(run, self.number, reason, seconds, self._log)

    def _death(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        self.kill()
        if code is not None and code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"its process was killed by {signal.Signals(-code).name}{hint}"
        return f"its process ended with exit code {code}"

    def stop(self) -> None:
        """Ends an idle process."""
        self.connection.close()
        self._process.join(2)
        self.kill()

    def abandon(self) -> None:
        """Ends the process in the middle of its run, which has not failed: its log goes too."""
        self.kill()
        if self.run is not None:
            self._log.unlink(missing_ok=True)

    def kill(self) -> None:
        """Ends the process at once. It holds nothing: what is not yet in the store is not a record."""
        self.alive = False
        self._process.kill()
        self._process.join()
        self.connection.close()
