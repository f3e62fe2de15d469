"""What the leaderboard shows, as a pure function of records."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bootstrap import RESAMPLES, Estimate, answers, mean_accuracy
from experiments.leaderboard.describe import WITHOUT, changes, data_of, variant
from experiments.leaderboard.versions import mixed_versions
from experiments.ranks import Ranking, ranking
from experiments.run_costs import prediction_seconds, typical_costs
from experiments.statistics import Spread, TaskAccuracy, mean_over_tasks, task_accuracy
from tfew_pl.backbones import POCKET_RANDOM
from tfew_pl.errors import UserError
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

OURS = "this repository"
"""Source of the records that are nobody's submission."""
SEED = 0
"""Of the resamples."""


@dataclass(frozen=True)
class Run:
    """A run on a task."""

    digest: str
    seed: int | None
    """None where no few-shot example is seen."""
    accuracy: Mapping[str, float]
    """In percent, by template."""


@dataclass(frozen=True)
class Row:
    """A method as it was run on the tasks: one backbone, one recipe, one evaluation."""

    source: str
    """Who made the records."""
    spec: RunSpec
    """Of the first of its runs; the others differ in task and seed only."""
    changes: tuple[str, ...]
    """What differs from the method's default."""
    tasks: tuple[TaskAccuracy, ...]
    """Of the tasks that it has, in the order of the paper's tables."""
    costs: Mapping[str, float]
    """By field of `Costs`, and `prediction_seconds`: medians over tasks of the medians over a task's runs."""
    runs: Mapping[str, tuple[Run, ...]]
    """By task, sorted by seed."""
    estimate: Estimate
    """Mean over these tasks of the medians, in percent, with its bootstrap interval."""
    asked: int = 0
    """How many tasks its section has."""
    rank: float | None = None
    """Mean over tasks of its rank among the comparable rows of its section, 1 for the best; None for others."""

    @property
    def id(self) -> str:
        """Its place on the page: the same for the same variant of the same source."""
        return hashlib.sha256(f"{self.source}/{variant(self.spec)}".encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        """All that tells it from other rows, in a line."""
        by = () if self.source == OURS else (f"by {self.source}",)
        return ", ".join((f"{self.spec.method} ({self.spec.backbone})", *self.changes, *by))

    @property
    def is_tfew(self) -> bool:
        """Whether it is the paper's recipe as it is: (IA)3 with its vectors pre-trained, and nothing changed."""
        return self.spec.method == "ia3" and not self.changes

    @property
    def complete(self) -> bool:
        """Whether it has every task of its section."""
        return len(self.runs) == self.asked

    @property
    def mean(self) -> Spread | None:
        """Mean over tasks of the median and of the interquartile range, in percent; None where tasks are missing."""
        return mean_over_tasks(self.tasks) if self.complete else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean, in percent; None where tasks are missing."""
        return (self.estimate.low, self.estimate.high) if self.complete else None

    @property
    def unranked(self) -> str | None:
        """Why it has no place among the others; None if it has one."""
        if not self.complete:
            return f"{len(self.runs)} of {self.asked} tasks"
        seeds = min(len({run.seed for run in runs} & {*OFFICIAL_SEEDS}) for runs in self.runs.values())
        if seeds < len(OFFICIAL_SEEDS) and self.spec.method != ZERO_SHOT:
            return f"{seeds} of {len(OFFICIAL_SEEDS)} official seeds"
        if self.spec.evaluation != Evaluation():
            return "a part of the evaluation"
        if self.spec.backbone == POCKET_RANDOM:
            return "untrained control"
        if any(change.startswith(WITHOUT) for change in self.changes):
            return "ablation"
        return None

    @property
    def comparable(self) -> bool:
        """Whether it has a place among the others: it has all tasks and official seeds, each evaluated on all examples
        through all templates, and is neither an ablation nor the untrained control.
        """
        return self.unranked is None

    @property
    def medians(self) -> dict[str, float]:
        """Median accuracy by task, in percent."""
        return {task.task: task.accuracy.median for task in self.tasks}

    def values(self) -> dict[str, Any]:
        """The row for programs: accuracies in percent."""
        return {
            "id": self.id,
            "source": self.source,
            "method": self.spec.method,
            "backbone": self.spec.backbone,
            "data": data_of(self.spec),
            "changes": list(self.changes),
            "rank": self.rank,
            "unranked": self.unranked,
            "accuracy": self.mean.median if self.mean else None,
            "accuracy_iqr": self.mean.iqr if self.mean else None,
            "accuracy_low": self.interval[0] if self.interval else None,
            "accuracy_high": self.interval[1] if self.interval else None,
            "costs": dict(self.costs),
            "revisions": {key: getattr(self.spec.revisions, key) for key in ("backbone", "initial")},
            "tasks": [
                {
                    "task": task.task,
                    "title": TASKS[task.task].title,
                    "accuracy": task.accuracy.median,
                    "accuracy_iqr": task.accuracy.iqr,
                    "chance": 100 * TASKS[task.task].chance,
                    "examples": task.examples,
                    "templates": list(self.runs[task.task][0].accuracy),
                    "runs": [
                        {"seed": run.seed, "digest": run.digest, "accuracy": list(run.accuracy.values())}
                        for run in self.runs[task.task]
                    ],
                }
                for task in self.tasks
            ],
        }


@dataclass(frozen=True)
class Section:
    """The rows that can be compared: they were measured on the same data."""

    data: str
    tasks: tuple[str, ...]
    """Those that any row has, in the order of the paper's tables."""
    rows: tuple[Row, ...]
    """Best rank first, then those without one, incomplete rows last."""
    ranking: Ranking | None
    """Of the comparable rows, by their ids; None for fewer than two."""


@dataclass(frozen=True)
class Board:
    """The leaderboard."""

    sections: tuple[Section, ...]

    def values(self) -> list[dict[str, Any]]:
        """A dictionary a row, section by section."""
        return [row.values() for section in self.sections for row in section.rows]


def board(sources: Mapping[str, Iterable["RunRecord"]], resamples: int = RESAMPLES) -> Board:
    """The leaderboard.

    Args:
        sources: records by who made them; those of tasks other than the held-out ones are left out.
        resamples: of every bootstrap interval.

    Raises:
        UserError: there is no record, or records do not belong together; the message says which.
    """
    known = [(source, r) for source, records in sources.items() for r in records if r.spec.task in TASKS]
    if not known:
        raise UserError("there is no record for a leaderboard; make some with: tfew grid table1")
    _check_versions(known)
    rows = _rows(known, resamples)
    by_data: dict[str, list[Row]] = {}
    for row in rows:
        by_data.setdefault(data_of(row.spec), []).append(row)
    return Board(tuple(_section(data, by_data[data]) for data in sorted(by_data, reverse=True)))  # pocket, hub


def _check_versions(records: Iterable[tuple[str, "RunRecord"]]) -> None:
    mixed = mixed_versions((source, record.spec) for source, record in records)
    if mixed:
        raise UserError(f"{mixed}; remove those of the older one, or run them again")


def _rows(records: Iterable[tuple[str, "RunRecord"]], resamples: int) -> list[Row]:
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for source, record in records:
        groups.setdefault((source, variant(record.spec)), []).append(record)
    return [_row(source, group, resamples) for (source, _), group in groups.items()]


def _row(source: str, records: Sequence["RunRecord"], resamples: int) -> Row:
    spec = records[0].spec
    by_task = {task: [r for r in records if r.spec.task == task] for task in TASKS}
    groups = {task: sorted(group, key=lambda r: r.spec.seed) for task, group in by_task.items() if group}
    try:
        tasks = tuple(task_accuracy(group) for group in groups.values())
        right = [answers(groups[task]) for task in sorted(groups)]  # the order of `contrasts`: the same draws
    except ValueError as error:
        raise UserError(f"{source}: the records of {spec.method} ({spec.backbone}) disagree: {error}") from error
    runs = {task: tuple(map(_run, group)) for task, group in groups.items()}
    estimate = mean_accuracy(right, np.random.default_rng(SEED), resamples)
    costs = {**typical_costs(records), "prediction_seconds": prediction_seconds(records)}
    return Row(source, spec, changes(spec), tasks, costs, runs, estimate)


def _run(record: "RunRecord") -> Run:
    spec = record.spec
    accuracy = {name: 100 * share for name, share in record.accuracy.items()}
    return Run(spec.digest, None if spec.method == ZERO_SHOT else spec.seed, accuracy)


def _section(data: str, rows: Sequence[Row]) -> Section:
    tasks = tuple(task for task in TASKS if any(task in row.runs for row in rows))
    rows = [dataclasses.replace(row, asked=len(tasks)) for row in rows]
    comparable = [row for row in rows if row.comparable]
    found = None
    if len(comparable) > 1:
        found = ranking({row.id: [row.medians[task] for task in tasks] for row in comparable})
    ranked = [dataclasses.replace(row, rank=found.ranks[row.id] if found else 1.0) for row in comparable]
    ranked.sort(key=lambda row: (row.rank or 0.0, -sum(row.medians.values())))
    rest = [row for row in rows if not row.comparable]
    rest.sort(key=lambda row: (not row.complete, -sum(row.medians.values()) if row.complete else 0, row.spec.label()))
    return Section(data, tasks, (*ranked, *rest), found)
