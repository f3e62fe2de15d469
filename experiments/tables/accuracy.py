"""Accuracy by method and dataset: Tables 3 to 10, ours beside the paper's, and those of grids of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments import published
from experiments.comparison import Comparison, compare
from experiments.statistics import Spread, unlabeled_tasks
from experiments.tables.variants import Measured, Variant, measure
from tfew_pl.tasks import get_task

_SEED = 0
"""Of the resamples."""


@dataclass(frozen=True)
class Layout:
    """What distinguishes one of these tables from the others.

    A row of the paper stands beside the variant of the grid that has its name.
    """

    number: int | None
    """None for a grid of one's own, of which the paper has nothing."""
    title: str
    papers: str
    """Backbone and tasks of the paper's numbers; empty where it has none."""
    reference: str
    """The row with which the others are compared."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """The paper's names of rows that are called otherwise here."""
    notes: tuple[str, ...] = ()
    """On the paper's numbers."""
    parameter_counts: bool = False
    """Whether the rows differ in how many parameters they train."""

    @property
    def published(self) -> bool:
        """Whether the paper has such a table."""
        return self.number is not None

    @property
    def label(self) -> str:
        """What the table is called."""
        return self.title if self.number is None else f"Table {self.number}"


@dataclass(frozen=True)
class Row:
    """A row: our runs, the paper's numbers, or both."""

    name: str
    ours: Measured | None
    paper: Mapping[str, published.Accuracy]
    """By task; empty where the paper has no such row."""
    comparison: Comparison | None
    """Ours with our reference row; None for that row itself, and while runs are missing."""


@dataclass(frozen=True)
class AccuracyTable:
    """Our rows in the order of the grid, then the rows that only the paper has."""

    layout: Layout
    rows: tuple[Row, ...]

    @property
    def measured(self) -> list[tuple[str, Measured]]:
        """The rows that are ours, by name."""
        return [(row.name, row.ours) for row in self.rows if row.ours is not None]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of our rows."""
        return tuple(dict.fromkeys(task for _, ours in self.measured for task in ours.asked))

    def lacks(self, row: Row) -> tuple[str, ...]:
        """The tasks of the table that a row of ours does not ask for: a mean over the others would not compare."""
        return tuple(task for task in self.tasks if row.ours is not None and task not in row.ours.asked)

    def mean(self, row: Row) -> Spread | None:
        """Our means over the table's tasks, in percent; None while runs are missing, and for a row without some."""
        return None if row.ours is None or self.lacks(row) else row.ours.accuracy

    def paper_mean(self, row: Row) -> float | None:
        """The mean of what the paper prints for a row on these tasks; None where it lacks one of them."""
        if not self.tasks or not all(task in row.paper for task in self.tasks):
            return None
        return sum(row.paper[task].median for task in self.tasks) / len(self.tasks)

    def paper_difference(self, row: Row) -> float | None:
        """The difference between the paper's means for a row and for the reference row."""
        reference = next((row for row in self.rows if row.name == self.layout.reference), None)
        one, other = self.paper_mean(row), None if reference is None else self.paper_mean(reference)
        return None if row is reference or one is None or other is None else one - other

    def values(self) -> list[dict[str, Any]]:
        """A dictionary a row: accuracies in percent, differences to the reference row in points."""
        return [self._values(row) for row in self.rows]

    def _values(self, row: Row) -> dict[str, Any]:
        ours, difference = row.ours, row.comparison.difference if row.comparison else None
        accuracy = self.mean(row)
        values = {
            "method": row.name,
            "source": "measured" if ours else "published",
            "backbone": ours.backbone if ours else None,
            "data": ours.data if ours else None,
            "trained_parameters": ours.costs.get("trained_parameters") if ours else None,
            "accuracy": accuracy.median if accuracy else None,
            "accuracy_iqr": accuracy.iqr if accuracy else None,
            "paper_accuracy": self.paper_mean(row),
            "difference": difference.value if difference else None,
            "difference_low": difference.low if difference else None,
            "difference_high": difference.high if difference else None,
            "paper_difference": self.paper_difference(row),
            "runs": ours.runs if ours else None,
            "missing_runs": ours.missing if ours else None,
        }
        if self.layout.parameter_counts and self.layout.published:
            values["paper_trained_parameters"] = published.parameter_counts().get(row.name)
        return values

    def task_values(self) -> list[dict[str, Any]]:
        """A dictionary a row and task: accuracy in percent over `runs` x `templates`, and the paper's."""
        found = []
        for row in self.rows:
            for name in self.tasks:
                ours, paper = row.ours.task(name) if row.ours else None, row.paper.get(name)
                found.append(
                    {
                        "method": row.name,
                        "task": name,
                        "accuracy": ours.accuracy.median if ours else None,
                        "accuracy_iqr": ours.accuracy.iqr if ours else None,
                        "paper_accuracy": paper.median if paper else None,
                        "paper_accuracy_iqr": paper.iqr if paper else None,
                        "chance": 100 * get_task(name).chance,
                        "runs": ours.runs if ours else 0,
                        "missing_runs": row.ours.asked.get(name, 0) - (ours.runs if ours else 0) if row.ours else 0,
                        "templates": ours.templates if ours else None,
                        "examples": ours.examples if ours else None,
                    }
                )
        return found


def _comparison(variant: Variant, reference: Variant | None) -> Comparison | None:
    if reference is None or variant is reference or variant.missing or reference.missing:
        return None
    unlabeled = unlabeled_tasks((*variant.records, *reference.records))
    ours, others = ([r for r in side.records if r.spec.task not in unlabeled] for side in (variant, reference))
    return compare(ours, others, np.random.default_rng(_SEED))


def accuracy_table(layout: Layout, variants: Sequence[Variant]) -> AccuracyTable:
    """The table.

    Raises:
        ValueError: a variant's runs are not of one method.
    """
    printed = {} if layout.number is None else dict(published.accuracies(layout.number))
    reference = next((variant for variant in variants if variant.name == layout.reference), None)
    rows = []
    for variant in variants:
        paper = printed.pop(layout.renamed.get(variant.name, variant.name), {})
        rows.append(Row(variant.name, measure(variant), paper, _comparison(variant, reference)))
    return AccuracyTable(layout, (*rows, *(Row(name, None, paper, None) for name, paper in printed.items())))
