"""A training step of each method, with the stacks compiled and without: its time a run.

Of methods that have slots, five runs are trained together, and a step's time is divided by five.
"""

import statistics
import time
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
import typer

from experiments.benchmarks import report
from experiments.benchmarks.timing import Clock
from experiments.output import Column
from tfew_pl.compiled import CompiledStacks
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method, registered_methods
from tfew_pl.run import run_group
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

STEPS = 20
"""Of a training."""
FIRST = 8
"""In which the compiler meets what there is."""


class _StepTimes(pl.Callback):
    def __init__(self, clock: Clock) -> None:
        self._read = time.perf_counter if clock == "wall" else time.process_time
        self.seconds: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self._start = self._read()

    def on_train_batch_end(self, *_: Any) -> None:
        self.seconds.append(self._read() - self._start)


def _training(method: str, model: str, task: str, clock: Clock, *, compiled: bool) -> float:
    """Seconds of a step of a run, of which five are trained together where there are slots."""
    seeds = OFFICIAL_SEEDS if get_method(method).slotted else OFFICIAL_SEEDS[:1]
    recipe = Recipe(**{**get_method(method).recipe, "steps": STEPS, "pretrained": False})
    few = Evaluation(examples=1, templates=1)
    specs = [RunSpec(task, model, method, recipe=recipe, evaluation=few, seed=seed) for seed in seeds]
    times = _StepTimes(clock)
    run_group(specs, trainer={"callbacks": [times, *([CompiledStacks()] if compiled else [])]})
    return statistics.median(times.seconds[FIRST:]) / len(specs)


def command(
    model: Annotated[str, typer.Option(help="A backbone's alias, hub id or folder.")] = "pocket-t0",
    task: Annotated[str, typer.Option(help="Whose examples are trained on.")] = "rte",
    method: Annotated[list[str] | None, typer.Option(help="Of these alone; may be given several times.")] = None,
    rounds: report.Rounds = 3,
    threads: report.Threads = 1,
    clock: report.ClockName = "wall",
    json: report.File = None,
) -> None:
    """Time a training step of every method, compiled and not, in trainings that take turns.

    Examples:
        python -m experiments.benchmarks.compiled_step
        python -m experiments.benchmarks.compiled_step --method lora --method full --clock processor
    """
    torch.set_num_threads(threads)
    rows: list[dict[str, object]] = []
    for name in method or sorted(registered_methods()):
        _training(name, model, task, clock, compiled=True)  # fills the compiler's cache
        pairs = [
            [_training(name, model, task, clock, compiled=compiled) for compiled in (False, True)]
            for _ in range(rounds)
        ]
        plain, compiled = (1e3 * statistics.median(side) for side in zip(*pairs, strict=True))
        rows.append(
            {
                "method": name,
                "plain_ms": plain,
                "compiled_ms": compiled,
                "plain/compiled": statistics.median(one / two for one, two in pairs),
            }
        )
    columns = (
        Column("method", "method"),
        Column("plain_ms", "plain ms", "right", "{:.1f}".format),
        Column("compiled_ms", "compiled ms", "right", "{:.1f}".format),
        Column("plain/compiled", "plain / compiled", "right", "{:.2f}".format),
    )
    report.report(
        "A training step, a run, compiled and not", rows, columns, json,
        model=model, task=task, rounds=rounds, threads=threads, clock=clock,
    )  # fmt: skip


if __name__ == "__main__":
    report.start(command)
