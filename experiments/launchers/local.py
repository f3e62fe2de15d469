"""Runs in worker processes on this machine, each of which does one assignment after another."""

import contextlib
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from experiments.events import Event, Failed, Finished, Progressed, Repeated, Started
from experiments.job import Job
from experiments.launchers.launcher import LauncherError
from experiments.launchers.worker_process import Assignment, Broken, Done, Reached, Ready, serve
from experiments.work_queue import Claim, WorkQueue
from tfew_pl.store import UnwritableStoreError

_LOOK_SECONDS = 1.0
"""Between two looks at what other runners do, while there is nothing else to do."""


class LocalWorkers:
    """Worker processes on this machine.

    They are spawned, so that no state of this process leaks into them; they stay alive from run to run, so
    that imports and backbones are loaded once; each has its own pipe, so that one death harms no other.

    Args:
        job: what to do with runs.
        environments: of each worker, variables to set before anything heavy is imported; as many as workers.
        logs: folder of the runs' logs; a log stays where its run failed.
        retries: how often runs are done again whose process died; what raises would raise again.
    """

    def __init__(self, job: Job, environments: Sequence[Mapping[str, str]], logs: Path, retries: int = 2) -> None:
        self._job = job
        self._environments = environments
        self._logs = logs
        self._retries = retries

    def execute(self, queue: WorkQueue) -> Generator[Event, None, None]:
        """Does the runs, in the order of the queue.

        Raises:
            UnwritableStoreError: no record can be written.
            LauncherError: worker processes die before they can do anything.
        """
        workers: dict[int, _Worker] = {}
        deaths: Counter[str] = Counter()
        try:
            while True:
                yield from self._assign(queue, workers)
                yield from queue.news()
                if not workers and not queue.open:
                    return
                busy = {worker.connection: worker for worker in workers.values()}
                if not busy:
                    time.sleep(_LOOK_SECONDS)
                for connection in wait(list(busy), _LOOK_SECONDS if queue.open else None) if busy else ():
                    worker = busy[connection]  # type: ignore[index]
                    yield from self._ended(queue, worker, deaths, worker.message())
                if queue.open and len(workers) < len(self._environments):
                    yield from queue.news(look=True)
        finally:
            for worker in workers.values():
                worker.abandon()

    def _assign(self, queue: WorkQueue, workers: "dict[int, _Worker]") -> Iterator[Event]:
        """Gives every idle worker something to do; those for which there is nothing are ended."""
        for number, environment in enumerate(self._environments):
            worker = workers.get(number)
            if worker is not None and worker.claim is not None:
                continue
            claim = queue.take()
            if claim is None:
                if worker is not None:
                    workers.pop(number).stop()
                continue
            if worker is None or not worker.alive:
                worker = workers[number] = _Worker(number, self._job, environment)
            worker.assign(claim, self._logs / f"{claim.missing[0].spec.digest}.log")
            yield Started(claim.missing[0], number, len(claim.missing) - 1)

    def _ended(self, queue: WorkQueue, worker: "_Worker", deaths: Counter[str], message: object) -> Iterator[Event]:
        """What a worker's message, or its end, means for what it does."""
        claim, number, seconds = worker.claim, worker.number, worker.seconds
        if claim is None:
            return
        first, others = claim.missing[0], len(claim.missing) - 1
        match message:
            case Ready():
                worker.ready = True
                return
            case Reached(stage, fraction):
                yield Progressed(first, number, stage, fraction)
                return
        worker.claim = None
        match message:
            case Done(accuracies):
                of_run = dict(zip(claim.digests, accuracies, strict=True))
                for run in claim.missing:
                    yield Finished(run, number, of_run[run.spec.digest], seconds / len(claim.missing))
                queue.settle(claim)
                return
            case Broken(reason, "disk"):
                raise UnwritableStoreError(f"{reason}: nothing more can be kept (store {queue.store.folder})")
            case Broken(reason, cause):
                again = False
                if cause == "other":
                    # Nobody knows in what state an exception from the depths leaves a process.
                    worker.kill()
            case _:
                reason = worker.death()
                deaths[claim.name] += 1
                again = deaths[claim.name] <= self._retries
                if not worker.ready and not again:
                    raise LauncherError(f"worker processes cannot start: {reason}")
        if again:
            yield Repeated(first, number, f"{reason}; trying again", seconds, others)
            queue.put_back(claim.group)
        elif len(claim.group) > 1:
            yield Repeated(first, number, f"{reason}; trying one by one", seconds, others)
            queue.put_back(*((run,) for run in claim.group))
        else:
            yield Failed(first, number, reason, seconds, worker.log)
            queue.settle(claim)


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
        self.claim: Claim | None = None
        self.log = Path()
        self._start = 0.0

    @property
    def seconds(self) -> float:
        """Since it was given its assignment."""
        return time.monotonic() - self._start

    def assign(self, claim: Claim, log: Path) -> None:
        """Gives it runs. If the process is dead, the next message is its end."""
        self.claim, self.log, self._start = claim, log, time.monotonic()
        with contextlib.suppress(OSError):
            self.connection.send(Assignment(claim.specs, log))

    def message(self) -> object:
        """What it says; None at the end of the process."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def death(self) -> str:
        """How the process ended, in a line."""
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
        if self.claim is not None:
            self.log.unlink(missing_ok=True)

    def kill(self) -> None:
        """Ends the process at once. It holds nothing: what is not yet in the store is not a record."""
        self.alive = False
        self._process.kill()
        self._process.join()
        self.connection.close()
