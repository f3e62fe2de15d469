"""Two grids of the same real trainings: BACKBONE FOLDER. One is undisturbed; of the other, runners and workers are
killed, each at a random step. The records of the two are left in FOLDER; how many were killed is printed, and why
anything was done again.

Every process is forked from this one, which has imported all that they need: that takes longer than the trainings.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import tfew_pl.run  # noqa: F401 (for the processes that are forked)
from experiments.devices import thread_environment
from experiments.events import Event, Repeated
from experiments.grid import GridRun
from experiments.groups import form_groups
from experiments.job import Progress, RunAndSave
from experiments.launchers import local
from experiments.runner import do_runs, prepare
from tfew_pl.recipe import Recipe
from tfew_pl.resolve import resolve
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.store import LOGS, RunStore

KILLED = ("runner", "worker") * 3
WORKERS = 2
DEADLINE_SECONDS = 300


@dataclass(frozen=True)
class JournaledJob:
    """The real job, which also writes down who makes each step."""

    job: RunAndSave
    journal: Path

    def __call__(self, specs: Sequence[RunSpec], progress: Progress) -> tuple[float, ...]:
        def told(stage: str, fraction: float) -> None:
            with self.journal.open("a") as stream:
                stream.write(f"{os.getpid()}\n")
            progress(stage, fraction)

        return self.job(specs, told)


def runs(backbone: str) -> list[GridRun]:
    """Three that are trained together, and three that draw random numbers at every step and are trained alone."""
    recipe = {"steps": 24, "pretrained": False}
    kinds = {"ia3": Recipe(**recipe), "lora": Recipe(dropout="checkpoint", **recipe)}  # type: ignore[arg-type]
    few = Evaluation(examples=4, templates=2)
    return [
        GridRun(method, resolve(RunSpec("rte", backbone, method, seed=seed, recipe=own, evaluation=few, shots=6)))
        for method, own in kinds.items()
        for seed in range(3)
    ]


def reasons(store: RunStore) -> Path:
    """Where it is written why anything was done again."""
    return store.folder.with_suffix(".reasons")


def note_repeated(path: Path, event: Event) -> None:
    """Writes it there."""
    if isinstance(event, Repeated):
        with path.open("a") as stream:
            stream.write(f"{event.reason}\n")


def start(todo: Sequence[GridRun], store: RunStore) -> int:
    """The process of a runner."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        job = RunAndSave(store.folder, checkpoint_every=5, matmul_precision="highest")
        journaled = JournaledJob(job, store.folder.with_suffix(".journal"))
        prepare(store)
        environments = [thread_environment(1)] * WORKERS
        launcher = local.LocalWorkers(journaled, environments, store.folder / LOGS, retries=len(KILLED))
        code = len(do_runs(form_groups(todo), store, launcher, partial(note_repeated, reasons(store))).failures)
    finally:
        os._exit(code)


def after_steps(runner: int, journal: Path, count: int) -> int:
    """The process that makes the last of some more steps."""
    before = len(journal.read_text().splitlines()) if journal.exists() else 0
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        lines = journal.read_text().splitlines() if journal.exists() else []
        if len(lines) >= before + count:
            return int(lines[-1])
        if os.waitpid(runner, os.WNOHANG)[0]:
            raise RuntimeError("the runner ended before it was killed")
        time.sleep(0.02)
    raise TimeoutError(f"no {count} steps were made in {DEADLINE_SECONDS} seconds")


def main(backbone: str, folder: Path) -> None:
    fork = multiprocessing.get_context("fork")
    local.multiprocessing = SimpleNamespace(get_context=lambda _: fork)  # type: ignore[assignment]
    todo = runs(backbone)
    _, status = os.waitpid(start(todo, RunStore(folder / "undisturbed")), 0)
    if status:
        raise RuntimeError(f"the undisturbed grid ended with status {status}")
    store, journal = RunStore(folder / "killed"), folder / "killed.journal"
    generator = random.Random(0)
    runner = start(todo, store)
    left = generator.sample(KILLED, len(KILLED))
    while left:
        worker = after_steps(runner, journal, generator.randint(1, 9))
        with suppress(ProcessLookupError):
            os.kill(runner if left[-1] == "runner" else worker, signal.SIGKILL)
            if left.pop() == "runner":
                os.waitpid(runner, 0)
                runner = start(todo, store)
    _, status = os.waitpid(runner, 0)
    written = [reasons(one) for one in (RunStore(folder / "undisturbed"), store)]
    repeated = sorted({reason for path in written if path.exists() for reason in path.read_text().splitlines()})
    sys.stdout.write(json.dumps({"killed": len(KILLED), "status": status, "repeated": repeated}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
