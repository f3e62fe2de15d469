"""What the runner itself costs: time a run that does nothing, and how long a large grid's plan and listing take.

The limits are those that we set ourselves.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from experiments.benchmarks import report
from experiments.devices import thread_environment
from experiments.display import LineDisplay
from experiments.grid import GridRun, load_grid
from experiments.groups import form_groups
from experiments.job import Progress
from experiments.launchers.local import LocalWorkers
from experiments.output import Column
from experiments.runner import do_runs, prepare
from tfew_pl.record import Costs, RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import LOGS, RunStore

TEMPLATES, EXAMPLES, NOTES = 5, 100, 50
"""Of a record of middle size."""
LIMITS = {"run": 20.0, "command": 2000.0}
"""Milliseconds."""
COLUMNS = (
    Column("variant", "what"),
    Column("wall_ms", "wall ms", "right", "{:.1f}".format),
    Column("processor_ms", "processor ms", "right", "{:.1f}".format),
    Column("limit_ms", "limit ms", "right", "{:.0f}".format),
)


@dataclass(frozen=True)
class SaveOnly:
    """The job of a run that trains and evaluates nothing: it saves a record, as every job does."""

    store: Path

    def __call__(self, specs: Sequence[RunSpec], progress: Progress) -> tuple[float, ...]:
        """Saves a record of each."""
        progress("training", 1.0)
        for spec in specs:
            RunStore(self.store).save(_record(spec))
        return (0.5,) * len(specs)


def _record(spec: RunSpec) -> RunRecord:
    count = TEMPLATES * EXAMPLES
    right = np.arange(count) % 2
    places = {"template": np.arange(count) // EXAMPLES, "example": np.arange(count) % EXAMPLES}
    losses = {"step": np.arange(1, NOTES + 1), "lm": 0.5, "unlikelihood": 0.5, "length_norm": 0.5}
    numbers: dict[str, Any] = dict.fromkeys(Costs.__dataclass_fields__, 1)
    return RunRecord(
        spec,
        {f"template {number}": 0.5 for number in range(TEMPLATES)},
        pd.DataFrame({**places, "gold": np.zeros_like(right), "predicted": right}),
        pd.DataFrame(losses),
        Costs(**numbers),
        {"device": "none"},
        adaptation=bytes(11_000),
    )


@dataclass
class _Times:
    """Of rounds, in seconds."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Takes the time of what is done within, by this process and by those that it starts and that end."""
        wall, processor = time.perf_counter(), _processor()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(_processor() - processor)

    def row(self, variant: str, limit: str, less: "_Times | None" = None, runs: int = 1) -> dict[str, Any]:
        """Medians in milliseconds, a run, without what other rounds took."""
        start = less or _Times([0.0], [0.0])
        found: dict[str, Any] = {"variant": variant}
        for name in ("wall", "processor"):
            seconds = statistics.median(getattr(self, name)) - statistics.median(getattr(start, name))
            found[f"{name}_ms"] = 1e3 * seconds / runs
        return {**found, "limit_ms": LIMITS[limit]}


def _processor() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _do(runs: Sequence[GridRun], folder: Path, workers: int) -> None:
    """Has workers do runs, as `tfew grid --slots 1` does."""
    from rich.console import Console

    store = RunStore(folder)
    prepare(store)
    launcher = LocalWorkers(SaveOnly(folder), [thread_environment(1)] * workers, folder / LOGS)
    with (folder / "output").open("w") as output, LineDisplay(runs, workers, Console(file=output)) as display:
        summary = do_runs(form_groups(runs, slots=1), store, launcher, display)
    assert summary.finished == len(runs)  # noqa: S101 (else nothing was measured)


def _tfew(*arguments: str | Path) -> None:
    """A command in a process of its own."""
    code = "from experiments.cli import main; main()"
    paths = os.pathsep.join(filter(None, sys.path))
    subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def command(
    runs: Annotated[int, typer.Option(help="Runs of the grid.", min=10)] = 3000,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1)] = 4,
    rounds: Annotated[int, typer.Option(help="Rounds of every command; medians are shown.", min=1)] = 3,
    folder: Annotated[Path | None, typer.Option(help="Where the store is made; the system's temporary one.")] = None,
    json: report.File = None,
) -> None:
    """Time what the runner, the plan and the listing of a grid of 3,000 runs cost, beside what they may.

    The runs do nothing but save a record. What starting the workers takes is measured by a run each, and left out.
    Processor time is that of all processes, for a machine that others use too.

    Examples:
        python -m experiments.benchmarks.runner_overhead
        python -m experiments.benchmarks.runner_overhead --json runner_overhead.json
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="runner-overhead-") as name:
        place = Path(name)
        grid, store, none = place / "grid.yaml", place / "store", place / "none"
        grid.write_text(
            "name: overhead\ndescription: Runs that differ in their seed.\n"
            f"variants: [{{name: A, task: rte, sweep: {{seed: {list(range(runs))}}}}}]\n",
            encoding="utf-8",
        )
        planned = load_grid(grid).runs
        start, whole = _Times(), _Times()
        for number in range(rounds):
            with start.measured():
                _do(planned[:workers], place / f"start {number}", workers)
        with whole.measured():
            _do(planned, store, workers)
        rows = [whole.row(f"a run, {workers} workers", "run", start, runs - workers)]
        commands: dict[str, Callable[[], None]] = {
            "tfew grid --dry-run, nothing done": lambda: _tfew("grid", grid, "--store", none, "--dry-run"),
            "tfew grid --dry-run, all done": lambda: _tfew("grid", grid, "--store", store, "--dry-run"),
            "tfew grid, all done": lambda: _tfew("grid", grid, "--store", store),
            "tfew store ls": lambda: _tfew("store", "ls", "--store", store),
        }
        for variant, run in commands.items():
            times = _Times()
            for _ in range(rounds):
                with times.measured():
                    run()
            rows.append(times.row(variant, "command"))
    report.report("The runner's own time", rows, COLUMNS, json, runs=runs, workers=workers, rounds=rounds)


if __name__ == "__main__":
    report.start(command)
