"""Table 1: accuracy on the held-out tasks, and what it costs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from experiments import published
from experiments.statistics import Spread, TaskAccuracy, mean_over_tasks, task_accuracy
from tfew_pl.record import Costs
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Evaluation
from tfew_pl.tasks import TASKS

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

PAPER_ROWS = {"ia3": "T-Few", ZERO_SHOT: "T0", IN_CONTEXT: "T5+LM"}
"""The paper's row that a method of ours stands beside."""


@dataclass(frozen=True)
class Measured:
    """What our runs of a method found."""

    method: str
    backbone: str
    data: str
    accuracy: Spread
    """Means over tasks, in percent."""
    tasks: tuple[TaskAccuracy, ...]
    costs: Mapping[str, float]
    """By field of `Costs`: medians over tasks of the medians over a task's runs."""
    evaluation: Evaluation
    """What the accuracy is limited to."""

    @property
    def runs(self) -> int:
        """Runs over all tasks."""
        return sum(task.runs for task in self.tasks)


@dataclass(frozen=True)
class Row:
    """A row: our runs, the paper's, or both."""

    name: str
    ours: Measured | None
    paper: published.Table1Row | None

    def values(self) -> dict[str, Any]:
        """The row for programs: accuracies in percent, FLOPs of one prediction and of one training, bytes."""
        ours, paper = self.ours, self.paper
        costs: Mapping[str, float | None] = recomputed(paper) if paper else {}
        if ours:
            costs = ours.costs
        return {
            "method": self.name,
            "source": "measured" if ours else "published",
            "backbone": ours.backbone if ours else None,
            "data": ours.data if ours else None,
            "parameters": costs.get("parameters"),
            "accuracy": ours.accuracy.median if ours else None,
            "accuracy_iqr": ours.accuracy.iqr if ours else None,
            "paper_accuracy": paper.accuracy if paper else None,
            "inference_flops": costs.get("inference_flops"),
            "measured_inference_flops": costs.get("measured_inference_flops"),
            "paper_inference_flops": paper.inference_flops if paper else None,
            "training_flops": costs.get("training_flops"),
            "measured_training_flops": costs.get("measured_training_flops"),
            "paper_training_flops": paper.training_flops if paper else None,
            "disk_bytes": costs.get("stored_bytes"),
            "measured_disk_bytes": costs.get("measured_stored_bytes"),
            "paper_disk_bytes": paper.disk_bytes if paper else None,
            "runs": ours.runs if ours else None,
            "training_seconds": costs.get("training_seconds"),
            "evaluation_seconds": costs.get("evaluation_seconds"),
        }


@dataclass(frozen=True)
class Table1:
    """Our rows in the order of the grid, then the rows that only the paper has."""

    rows: tuple[Row, ...]

    @property
    def measured(self) -> list[tuple[Row, Measured]]:
        """The rows with runs of ours."""
        return [(row, row.ours) for row in self.rows if row.ours is not None]

    def values(self) -> list[dict[str, Any]]:
        """A dictionary a row."""
        return [row.values() for row in self.rows]

    def task_values(self) -> list[dict[str, Any]]:
        """A dictionary a method and task: accuracy in percent over `runs` x `templates`, and the paper's."""
        return [
            {
                "method": row.name,
                "task": task.task,
                "accuracy": task.accuracy.median,
                "accuracy_iqr": task.accuracy.iqr,
                "paper_accuracy": paper.median if (paper := paper_accuracy(row, task.task)) else None,
                "paper_accuracy_iqr": paper.iqr if paper else None,
                "chance": 100 * TASKS[task.task].chance,
                "runs": task.runs,
                "templates": task.templates,
                "examples": task.examples,
            }
            for row, ours in self.measured
            for task in ours.tasks
        ]


def paper_accuracy(row: Row, task: str) -> published.Accuracy | None:
    """The accuracy that the paper's Table 9 prints for a row of Table 1 on a task; None if it has none."""
    return published.table9().get(row.paper.method, {}).get(task) if row.paper else None


def recomputed(row: published.Table1Row) -> dict[str, float | None]:
    """The costs of a published row of in-context learning by the paper's own formulas, query included.

    The paper's figures for GPT-3 6.7B and 13B leave out the tokens of the query.
    """
    from tfew_pl import costs

    flops = costs.inference_flops(
        row.parameters,
        published.EXAMPLE_TOKENS,
        published.SHOTS,
        published.SHOT_TOKENS,
        encoder_decoder=row.encoder_decoder,
    )
    stored = costs.context_bytes(published.SHOTS, published.SHOT_TOKENS)
    return {
        "parameters": row.parameters,
        "inference_flops": flops,
        "training_flops": 0.0,
        "stored_bytes": stored,
    }


def _median_costs(by_task: Sequence[Sequence["RunRecord"]]) -> dict[str, float]:
    return {
        field.name: statistics.median(
            statistics.median(getattr(record.costs, field.name) for record in records) for records in by_task
        )
        for field in fields(Costs)
    }


def measure(records: Sequence["RunRecord"]) -> Measured:
    """What the runs of one method found.

    Raises:
        ValueError: they are of several methods, backbones, data or evaluations.
    """
    specs = [record.spec for record in records]
    kinds = {(spec.method, spec.backbone, spec.data, spec.evaluation) for spec in specs}
    if len(kinds) != 1:
        raise ValueError(f"runs of one method, backbone and evaluation are needed, not {kinds}")
    method, backbone, data, evaluation = kinds.pop()
    groups = [[record for record in records if record.spec.task == task] for task in TASKS]
    by_task = [group for group in groups if group]
    tasks = tuple(task_accuracy(group) for group in by_task)
    return Measured(method, backbone, data, mean_over_tasks(tasks), tasks, _median_costs(by_task), evaluation)


def table1(variants: Mapping[str, Sequence["RunRecord"]]) -> Table1:
    """The table.

    Args:
        variants: the records of each of the grid's variants, by its name.

    Raises:
        ValueError: a variant's records are not of one method.
    """
    printed = published.table1()
    rows = []
    for name, records in variants.items():
        ours = measure(records)
        rows.append(Row(name, ours, printed.get(PAPER_ROWS.get(ours.method, ""))))
    taken = {row.paper.method for row in rows if row.paper}
    rest = [Row(row.method, None, row) for row in printed.values() if row.method not in PAPER_ROWS.values()]
    return Table1((*rows, *(row for row in rest if row.name not in taken)))
