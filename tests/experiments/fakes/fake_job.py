"""A job for worker processes: it trains nothing, and fails where it is told to."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from experiments.job import Progress
from tfew_pl.errors import UserError
from tfew_pl.spec import RunSpec


@dataclass(frozen=True)
class FakeJob:
    """Leaves a record of which the process, its environment and the number of runs in it can be read."""

    store: Path
    fails: str = ""
    """How the run with seed 1 fails."""
    seconds: float = 0.0

    def __call__(self, spec: RunSpec, progress: Progress) -> float:
        os.write(1, f"output of {spec.label()}\n".encode())
        progress("training", 0.5)
        time.sleep(self.seconds)
        if spec.seed == 1:
            self._fail()
        folder = self.store / spec.digest
        folder.mkdir(parents=True)
        note = {"pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS"), "seed": spec.seed}
        (folder / "record.json").write_text(json.dumps(note))
        return spec.seed / 100

    def _fail(self) -> None:
        match self.fails:
            case "raises":
                raise ValueError("a loss is not a number\nand more")
            case "user error":
                raise UserError("the hub is not reachable")
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                os._exit(3)


@dataclass(frozen=True)
class Broken:
    """Cannot be unpickled: a worker process dies before it is ready."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os._exit, (4,))

    def __call__(self, spec: RunSpec, progress: Progress) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class Forgetful:
    """Says that it is done, and saves nothing."""

    def __call__(self, spec: RunSpec, progress: Progress) -> float:
        return 0.5
