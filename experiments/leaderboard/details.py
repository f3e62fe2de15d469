"""What the page shows of a row's runs, each number as it is printed everywhere."""

import statistics
from collections.abc import Mapping
from typing import Any

from experiments.leaderboard.board import Row
from experiments.quantities import percent


def details(row: Row) -> dict[str, Any]:
    """A row's values down to templates and seeds, without its costs: accuracies in percent, as texts."""
    values = row.values()
    shown = {key: values[key] for key in ("source", "method", "backbone", "changes", "unranked", "revisions")}
    return {**shown, "tasks": [_task(task) for task in values["tasks"]]}


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    runs = [run["accuracy"] for run in task["runs"]]
    return {
        **{key: task[key] for key in ("task", "title", "examples", "templates")},
        **{key: percent(task[key]) for key in ("accuracy", "accuracy_iqr", "chance")},
        "medians": [percent(statistics.median(by_template)) for by_template in zip(*runs, strict=True)],
        "runs": [
            {
                "seed": run["seed"],
                "digest": run["digest"],
                "accuracy": [percent(value) for value in run["accuracy"]],
                "median": percent(statistics.median(run["accuracy"])),
            }
            for run in task["runs"]
        ],
    }
