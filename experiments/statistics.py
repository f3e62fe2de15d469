"""The paper's statistics: medians and interquartile ranges over few-shot splits and templates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord


@dataclass(frozen=True)
class Spread:
    """A median between its quartiles, the 25th and the 75th percentile with linear interpolation (NumPy's default)."""

    median: float
    lower: float
    upper: float

    @property
    def iqr(self) -> float:
        """The interquartile range: the 75th percentile less the 25th."""
        return self.upper - self.lower


def spread(values: Iterable[float]) -> Spread:
    """Median and quartiles.

    Raises:
        ValueError: there is no value, or one is not finite.
    """
    array = np.asarray(list(values), dtype=float)
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"finite values are needed, not {array.tolist()}")
    low, middle, high = np.quantile(array, (0.25, 0.5, 0.75))
    return Spread(float(middle), float(low), float(high))


def unlabeled_tasks(records: Iterable["RunRecord"]) -> tuple[str, ...]:
    """The tasks of runs whose evaluation examples have no labels, as RAFT's have none: there is no accuracy."""
    return tuple(sorted({record.spec.task for record in records if not record.accuracy}))


@dataclass(frozen=True)
class TaskAccuracy:
    """A method's accuracy on a task, in percent, over its runs and templates."""

    task: str
    accuracy: Spread
    """Over the accuracies of every run and template, pooled."""
    runs: int
    """Few-shot splits; 1 for a method that sees no example."""
    templates: int
    examples: int
    """Evaluated through each template."""


def task_accuracy(records: Sequence["RunRecord"]) -> TaskAccuracy:
    """The accuracy over a task's runs, which differ in their seed only.

    Raises:
        ValueError: there is no record, they are of several tasks or have different templates, or the evaluation
            examples have no labels.
    """
    if without := unlabeled_tasks(records):
        raise ValueError(f"the evaluation examples of {', '.join(without)} have no labels: there is no accuracy")
    tasks = {record.spec.task for record in records}
    templates = {tuple(sorted(record.accuracy)) for record in records}
    examples = {len(record.predictions) // len(record.accuracy) for record in records}
    if len(tasks) != 1 or len(templates) != 1 or len(examples) != 1:
        raise ValueError(f"records of one task with the same templates are needed, not of {sorted(tasks)}")
    values = [100 * share for record in records for share in record.accuracy.values()]
    return TaskAccuracy(tasks.pop(), spread(values), len(records), len(templates.pop()), examples.pop())


def mean_over_tasks(tasks: Iterable[TaskAccuracy]) -> Spread:
    """The means over tasks of the medians and of the quartiles.

    Raises:
        ValueError: there is no task.
    """
    accuracies = [task.accuracy for task in tasks]
    if not accuracies:
        raise ValueError("a mean over no tasks")
    means = np.mean([(accuracy.median, accuracy.lower, accuracy.upper) for accuracy in accuracies], axis=0)
    return Spread(*means.tolist())
