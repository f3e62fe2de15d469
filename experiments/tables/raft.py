"""Tables 2 and 11: scores on RAFT, ours on its pocket stand-ins beside the paper's on its test sets."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from experiments import published
from experiments.quantities import percent
from experiments.statistics import Spread, spread
from experiments.tables.block import Block, Document
from experiments.tables.cells import MISSING, NONE, NOT_OURS, as_printed
from experiments.tables.variants import Variant
from tfew_pl.metrics import macro_f1
from tfew_pl.spec import POCKET, RunSpec
from tfew_pl.tasks import RAFT_TASKS

SETFIT = "setfit"
HIDDEN = "no labels"
"""The runs are finished, and only the leaderboard knows how good they are."""


@dataclass(frozen=True)
class Row:
    """A row: our runs, the paper's scores, or both."""

    name: str
    variant: Variant | None
    paper: Mapping[str, float]
    """By dataset; empty where the paper has no such row."""
    paper_mean: float | None

    @cached_property
    def scores(self) -> dict[str, Spread]:
        """Our macro F1 in percent over the runs of a dataset; of those whose runs are finished and have labels."""
        if self.variant is None:
            return {}
        found = {}
        for task, runs in self.asked.items():
            f1 = [score for r in self.variant.records if r.spec.task == task for score in macro_f1(r.predictions)]
            if len(f1) == runs:  # a dataset has one template
                found[task] = spread(100 * share for share in f1)
        return found

    @property
    def asked(self) -> dict[str, int]:
        """How many runs the grid has of a dataset."""
        tasks = [spec.task for spec in self.variant.specs] if self.variant else []
        return {task: tasks.count(task) for task in tasks}

    def cell(self, task: str) -> str:
        """Our score on a dataset as text."""
        if task in self.scores:
            found = self.scores[task]
            return percent(found.median) + (f" ({percent(found.iqr)})" if self.asked[task] > 1 else "")
        if self.variant is None or task not in self.asked:
            return NONE
        finished = sum(record.spec.task == task for record in self.variant.records)
        return MISSING if finished < self.asked[task] else HIDDEN

    @property
    def mean(self) -> float | None:
        """The mean over the datasets of our medians; None while one is missing."""
        if not self.scores or len(self.scores) < len(self.asked):
            return None
        return statistics.fmean(score.median for score in self.scores.values())


@dataclass(frozen=True)
class RaftTable:
    """Our rows in the order of the grid, then the rows that only the paper has."""

    rows: tuple[Row, ...]

    @property
    def measured(self) -> list[Variant]:
        """Our rows' runs."""
        return [row.variant for row in self.rows if row.variant is not None]

    def values(self) -> list[dict[str, Any]]:
        """A dictionary a row; scores are macro F1 in percent, means over the datasets."""
        return [
            {
                "method": row.name,
                "source": "measured" if row.variant else "published",
                "backbone": row.variant.specs[0].backbone if row.variant else None,
                "data": row.variant.specs[0].data if row.variant else None,
                "score": row.mean,
                "paper_score": row.paper_mean,
                "runs": len(row.variant.records) if row.variant else None,
                "missing_runs": row.variant.missing if row.variant else None,
            }
            for row in self.rows
        ]

    def task_values(self) -> list[dict[str, Any]]:
        """A dictionary a row and dataset, likewise."""
        return [
            {
                "method": row.name,
                "task": task,
                "score": row.scores[task].median if task in row.scores else None,
                "score_iqr": row.scores[task].iqr if task in row.scores and row.asked[task] > 1 else None,
                "paper_score": row.paper.get(task),
            }
            for row in self.rows
            for task in RAFT_TASKS
        ]


def raft_table(variants: Sequence[Variant]) -> RaftTable:
    """The table, which is Table 2 by its means and Table 11 by its datasets."""
    means, datasets = dict(published.raft()), published.raft_datasets()
    rows = [
        Row(variant.name, variant, datasets.get(variant.name, {}), means.pop(variant.name, None))
        for variant in variants
    ]
    return RaftTable((*rows, *(Row(name, None, datasets[name], mean) for name, mean in means.items())))


def table2(table: RaftTable, command: str) -> Document:
    """The means for people.

    Args:
        table: what to show.
        command: what makes missing runs.
    """
    rows = []
    for row in table.rows:
        mean = NONE if row.variant is None else _whole(row)
        rows.append((_name(row), mean, NONE if row.paper_mean is None else percent(row.paper_mean)))
    block = Block("Table 2: RAFT, mean score over its datasets", ("method", "score", "paper"), tuple(rows))
    return Document((block,), tuple(_notes(table, command)))


def table11(table: RaftTable, command: str) -> Document:
    """The datasets for people; arguments as of `table2`."""
    header = ["dataset"]
    for row in table.rows:
        ours = ["\n".join(row.name.rsplit(maxsplit=1))] if row.variant else []
        paper = [f"paper\n{row.name}" if row.variant else "\n".join(_name(row).split(maxsplit=1))] if row.paper else []
        header += [*ours, *paper]
    lines = []
    for task in RAFT_TASKS:
        cells = [task]
        for row in table.rows:
            cells += [row.cell(task)] if row.variant else []
            cells += [as_printed(row.paper[task])] if row.paper else []
        lines.append(tuple(cells))
    means = ["mean"]
    for row in table.rows:
        means += [_whole(row)] if row.variant else []
        means += [NONE if row.paper_mean is None else percent(row.paper_mean)] if row.paper else []
    block = Block("Table 11: RAFT by dataset", tuple(header), (*lines, tuple(means)), last_apart=True)
    return Document((block,), tuple(_notes(table, command)))


def _name(row: Row) -> str:
    return row.name if row.variant else f"{row.name} {NOT_OURS}"


def _whole(row: Row) -> str:
    if row.mean is not None:
        return percent(row.mean)
    return MISSING if row.variant and row.variant.missing else HIDDEN


def _notes(table: RaftTable, command: str) -> Iterator[str]:
    yield (
        "Score: macro F1 in percent, RAFT's metric, of 50 training examples; the mean over eleven datasets. Over "
        "several runs of a dataset, their median (IQR)."
    )
    missing = sum(variant.missing for variant in table.measured)
    if missing:
        asked = sum(len(variant.specs) for variant in table.measured)
        yield f"{missing} of {asked} runs are missing. The command that makes them: {command}"
    if any(spec.data == POCKET for variant in table.measured for spec in variant.specs):
        yield (
            "Ours: pocket backbones on generated tasks in RAFT's schemas, whose evaluation examples have labels. The "
            "paper's: on RAFT's own test sets, by its leaderboard; T-Few's backbone is T0 (11B). Compare the order "
            "of the methods, not the numbers."
        )
    setfit = [spec for variant in table.measured for spec in variant.specs if spec.method == SETFIT]
    if setfit:
        yield f"SetFit reads the texts alone, without instructions or names of classes.{_encoder(setfit)}"
    if any(row.variant is None for row in table.rows):
        yield f"{NOT_OURS} As published, not run here."


def _encoder(specs: Sequence[RunSpec]) -> str:
    """What to know of SetFit's encoder, where all runs have one whose size is known, or the pocket world."""
    from baselines.setfit import ENCODERS

    known = [ENCODERS[name].parameters for name in {spec.backbone for spec in specs} & ENCODERS.keys()]
    parts = ["knows real English, not the pocket world"] if all(spec.data == POCKET for spec in specs) else []
    if len({spec.backbone for spec in specs}) == len(known) == 1:
        parts.append(f"has {known[0] / 1e6:.0f} million parameters, that of the published row 110 million")
    return f" Its encoder {'; it '.join(parts)}." if parts else ""
