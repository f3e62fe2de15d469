"""Rows of several fitted tasks in mixed batches on one backbone, against one task after another (Section 2.1)."""

from typing import Annotated

import torch
import typer

from experiments.benchmarks import report, timing
from experiments.output import Column
from tfew_pl.tasks.task import Row
from tfew_pl.userdata.fit import fit, fit_spec
from tfew_pl.userdata.fitted import Fitted
from tfew_pl.userdata.predictor import predicting
from tfew_pl.userdata.task import define

TASKS = (2, 8, 32)
_TEXTS = ("the cat was happy", "the dog was sad because the bus was late", "a cook smiled", "the room was cold")


def _fitted(model: str) -> tuple[Fitted, list[Row]]:
    """A task of two labels, trained for a step, and its rows."""
    labels = [("good", "bad")[number % 2] for number in range(len(_TEXTS))]
    task = define("task", ["text"], labels, text="text", label="label", where="here")
    rows = [task.row({"text": text}, "here", label) for text, label in zip(_TEXTS, labels, strict=True)]
    return fit(task, rows, fit_spec("task", backbone=model, steps=1), folds=0), rows


def command(
    model: Annotated[str, typer.Option(help="A backbone's alias, hub id or folder.")] = "pocket-t0",
    rows: Annotated[int, typer.Option(help="Rows of each task.", min=1)] = 4,
    rounds: report.Rounds = 10,
    threads: report.Threads = 1,
    clock: report.ClockName = "wall",
    json: report.File = None,
) -> None:
    """Time the prediction of rows of 2 to 32 tasks, adaptations attached anew each time.

    Examples:
        python -m experiments.benchmarks.mixed_tasks
        python -m experiments.benchmarks.mixed_tasks --rows 1 --json mixed_tasks.json
    """
    torch.set_num_threads(threads)
    one, texts = _fitted(model)
    own = [texts[number % len(texts)] for number in range(rows)]
    found: list[dict[str, object]] = []
    for count in TASKS:
        tasks = {str(number): one for number in range(count)}

        def mixed(_: int, tasks: dict[str, Fitted] = tasks) -> None:
            with predicting(tasks) as predictor:
                predictor.scores([(task, row) for row in own for task in range(len(tasks))])

        def in_turn(_: int, tasks: dict[str, Fitted] = tasks) -> None:
            for name, task in tasks.items():
                with predicting({name: task}) as predictor:
                    predictor.scores([(0, row) for row in own])

        seconds = timing.interleaved({"mixed": mixed, "in turn": in_turn}, rounds, clock)
        found += [{"tasks": count, **row} for row in timing.rows(seconds, "mixed")]
    columns = (Column("tasks", "tasks", "right"), *report.TIMES[:-1],
               Column("ratio", "times mixed", "right", "{:.2f}".format))  # fmt: skip
    report.report(
        "Rows of several tasks", found, columns, json,
        model=model, rows_a_task=rows, rounds=rounds, threads=threads, clock=clock,
    )  # fmt: skip


if __name__ == "__main__":
    report.start(command)
