"""Table 1: accuracy on the held-out tasks, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments import published
from experiments.tables.variants import Measured, Variant, measure
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT
from tfew_pl.tasks import get_task

PAPER_ROWS = {"ia3": "T-Few", ZERO_SHOT: "T0", IN_CONTEXT: "T5+LM"}
"""The paper's row that a method of ours stands beside."""


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
        accuracy = ours.accuracy if ours else None
        return {
            "method": self.name,
            "source": "measured" if ours else "published",
            "backbone": ours.backbone if ours else None,
            "data": ours.data if ours else None,
            "parameters": costs.get("parameters"),
            "accuracy": accuracy.median if accuracy else None,
            "accuracy_iqr": accuracy.iqr if accuracy else None,
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
            "missing_runs": ours.missing if ours else None,
            "training_seconds": costs.get("training_seconds"),
            "evaluation_seconds": costs.get("evaluation_seconds"),
        }


@dataclass(frozen=True)
class Table1:
    """Our rows in the order of the grid, then the rows that only the paper has."""

    rows: tuple[Row, ...]

    @property
    def measured(self) -> list[tuple[Row, Measured]]:
        """The rows that are ours."""
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
                "chance": 100 * get_task(task.task).chance,
                "runs": task.runs,
                "templates": task.templates,
                "examples": task.examples,
            }
            for row, ours in self.measured
            for task in ours.tasks
        ]


def paper_accuracy(row: Row, task: str) -> published.Accuracy | None:
    """The accuracy that the paper's Table 9 prints for a row of Table 1 on a task; None if it has none."""
    return published.accuracies(9).get(row.paper.method, {}).get(task) if row.paper else None


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


def table1(variants: Sequence[Variant]) -> Table1:
    """The table.

    Raises:
        ValueError: a variant's runs are not of one method.
    """
    printed = published.table1()
    rows = []
    for variant in variants:
        ours = measure(variant)
        rows.append(Row(variant.name, ours, printed.get(PAPER_ROWS.get(ours.method, ""))))
    taken = {row.paper.method for row in rows if row.paper}
    rest = [Row(row.method, None, row) for row in printed.values() if row.method not in PAPER_ROWS.values()]
    return Table1((*rows, *(row for row in rest if row.name not in taken)))
