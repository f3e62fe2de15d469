"""Jobs for worker processes: they train nothing, and fail where they are told to."""

import errno
import functools
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.job import Progress
from tfew_pl.errors import UserError
from tfew_pl.spec import RunSpec
from tfew_pl.store import RECORD, RunStore


@dataclass(frozen=True)
class FakeJob:
    """Leaves records of which the process, its environment and the number of runs in it can be read."""

    store: Path
    fails: str = ""
    """How the run with seed 1 fails."""
    seconds: float = 0.0

    def __call__(self, specs: Sequence[RunSpec], progress: Progress) -> tuple[float, ...]:
        for spec in specs:
            os.write(1, f"output of {spec.label()}\n".encode())
        progress("training", 0.5)
        time.sleep(self.seconds)
        if any(spec.seed == 1 for spec in specs) and self.fails != "killed after the first":
            self._fail(len(specs))
        for number, spec in enumerate(specs):
            if number == 1 and self.fails == "killed after the first":
                self._die_once()
            note = {
                "pid": os.getpid(),
                "threads": os.environ.get("OMP_NUM_THREADS"),
                "seed": spec.seed,
                "together": [other.seed for other in specs],
            }
            values = {"version": 1, "accuracy": {"a": spec.seed / 100}, **note}
            RunStore(self.store).place(spec.digest, functools.partial(_write, text=json.dumps(values)))
        return tuple(spec.seed / 100 for spec in specs)

    def _fail(self, together: int) -> None:
        match self.fails:
            case "raises":
                raise ValueError("a loss is not a number\nand more")
            case "raises together" if together > 1:
                raise ValueError("a loss is not a number")
            case "user error":
                raise UserError("the hub is not reachable")
            case "full disk":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "killed once":
                self._die_once()
            case "exits":
                os._exit(3)

    def _die_once(self) -> None:
        try:
            (self.store / "killed").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def _write(folder: Path, text: str) -> None:
    (folder / RECORD).write_text(text)


@dataclass(frozen=True)
class JournalJob:
    """Writes down what it begins, and leaves records of several files that do not depend on anything else."""

    store: Path
    journal: Path
    seconds: float = 0.0

    def __call__(self, specs: Sequence[RunSpec], progress: Progress) -> tuple[float, ...]:
        for spec in specs:
            known = " again" if spec in RunStore(self.store) else ""
            with self.journal.open("a") as stream:
                stream.write(f"{os.getpid()} {spec.digest}{known}\n")
        time.sleep(self.seconds)
        for spec in specs:
            RunStore(self.store).place(spec.digest, functools.partial(self._files, spec=spec))
        return tuple(spec.seed / 100 for spec in specs)

    def _files(self, folder: Path, spec: RunSpec) -> None:
        (folder / RECORD).write_text(json.dumps({"version": 1, "accuracy": {"a": spec.seed / 100}}))
        for number in range(4):
            time.sleep(self.seconds / 4)
            (folder / f"{number}.bin").write_bytes(spec.digest.encode() * 1000)


@dataclass(frozen=True)
class Broken:
    """Cannot be unpickled: a worker process dies before it is ready."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os._exit, (4,))

    def __call__(self, specs: Sequence[RunSpec], progress: Progress) -> tuple[float, ...]:
        raise NotImplementedError


@dataclass(frozen=True)
class Forgetful:
    """Says that it is done, and saves nothing."""

    def __call__(self, specs: Sequence[RunSpec], progress: Progress) -> tuple[float, ...]:
        return (0.5,) * len(specs)
