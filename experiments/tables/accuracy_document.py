"""Tables of accuracies for people: what each row gains over the reference row, then every dataset."""

from collections.abc import Iterator, Sequence

from experiments import published
from experiments.bootstrap import LEVEL
from experiments.quantities import count, percent
from experiments.tables.accuracy import AccuracyTable, Row
from experiments.tables.block import Block, Document
from experiments.tables.cells import (
    MISSING,
    NONE,
    NOT_OURS,
    as_printed,
    left_out,
    mean,
    on_task,
    plural,
    pocket,
    samples,
    unfinished,
)
from experiments.tables.variants import Measured
from tfew_pl.tasks import get_task

_DATASETS_A_BLOCK = 6
"""As in the paper, whose tables of eleven datasets are broken in two."""
_OF_THE_PAPER = "; the paper's mean is that of its printed medians"


def document(table: AccuracyTable, command: str) -> Document:
    """The table for people.

    Args:
        table: what to show.
        command: what makes missing runs.
    """
    tasks = table.tasks
    parts = [tasks[start : start + _DATASETS_A_BLOCK] for start in range(0, len(tasks), _DATASETS_A_BLOCK)]
    blocks = [_datasets(table, part, continued=number > 0) for number, part in enumerate(parts)]
    return Document((_summary(table), *blocks), tuple(_notes(table, command)))


def _name(row: Row) -> str:
    return row.name if row.ours else f"{row.name} {NOT_OURS}"


def _signed(value: float | None) -> str:
    return NONE if value is None else f"{value:+.1f}"


def _summary(table: AccuracyTable) -> Block:
    counted, layout = table.layout.parameter_counts, table.layout
    paper = range(1 if layout.published else 0)  # columns of the paper's beside each of ours
    rows = []
    for row in table.rows:
        cells = [_name(row)]
        if counted:
            cells += [_count(row), *(_paper_count(row) for _ in paper)]
        printed = table.paper_mean(row)
        cells += [
            NONE if row.ours is None or table.lacks(row) else mean(row.ours),
            *(NONE if printed is None else percent(printed) for _ in paper),
        ]
        difference, tasks = _difference(table, row)
        cells += [difference, *(_signed(table.paper_difference(row)) for _ in paper), tasks]
        rows.append(tuple(cells))

    def pair(ours: str, what: str) -> list[str]:
        return [ours, *(f"paper's\n{what}" for _ in paper)]

    header = ["method", *(pair("parameters\ntrained", "parameters") if counted else ()), *pair("mean\n(IQR)", "mean")]
    header += [*pair("difference\n[95 % interval]", "difference"), "tasks\nbetter : worse"]
    title = f"{layout.label}: {layout.title}" if layout.published else layout.label
    return Block(title, tuple(header), tuple(rows))


def _count(row: Row) -> str:
    ours = row.ours.costs.get("trained_parameters") if row.ours else None
    return (MISSING if row.ours else NONE) if ours is None else count(ours)


def _paper_count(row: Row) -> str:
    paper = published.parameter_counts().get(row.name)
    return NONE if paper is None else _printed_count(paper)


def _printed_count(parameters: float) -> str:
    """With all the digits that the paper prints: 12.9M."""
    factor, unit = next((factor, unit) for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")) if parameters >= factor)
    return f"{parameters / factor:g}{unit}"


def _difference(table: AccuracyTable, row: Row) -> tuple[str, str]:
    """With its interval; and the tasks on which the row is better and worse."""
    if row.comparison is None:
        waits = row.ours is not None and row.name != table.layout.reference
        return MISSING if waits and any(ours.missing for _, ours in table.measured) else NONE, NONE
    found, difference = row.comparison, row.comparison.difference
    interval = f"{_signed(difference.value)} [{_signed(difference.low)}, {_signed(difference.high)}]"
    return interval, f"{found.better} : {found.worse}"


def _datasets(table: AccuracyTable, tasks: Sequence[str], *, continued: bool) -> Block:
    """Two lines a row: ours and the paper's."""
    rows = []
    for row in table.rows:
        if row.ours:
            rows.append((row.name, *(on_task(row.ours, task) for task in tasks)))
        if row.paper:
            name = "  paper" if row.ours else _name(row)
            rows.append((name, *(_printed(row.paper.get(task)) for task in tasks)))
    chance = ("chance", *(percent(100 * get_task(task).chance) for task in tasks))
    titles = tuple(get_task(task).title for task in tasks)
    title = f"{table.layout.label} by dataset: median (IQR){', continued' if continued else ''}"
    return Block(title, ("method", *titles), (*rows, chance), last_apart=True)


def _printed(accuracy: published.Accuracy | None) -> str:
    if accuracy is None:
        return NONE
    iqr = "" if accuracy.iqr is None else f" ({as_printed(accuracy.iqr)})"
    return f"{as_printed(accuracy.median)}{iqr}"


def _notes(table: AccuracyTable, command: str) -> Iterator[str]:
    measured, reference = table.measured, table.layout.reference
    yield (
        "Accuracy in percent: for each dataset the median over few-shot splits and templates, then the mean over "
        f"{plural(str(len(table.tasks)), 'dataset')}{_OF_THE_PAPER if table.layout.published else ''}. "
        "IQR: 75th less 25th percentile, likewise."
    )
    for row in table.rows:
        if lacking := table.lacks(row):
            yield (
                f"{row.name} has no mean, as it is not run on {', '.join(get_task(task).title for task in lacking)}; "
                "what it differs by is on the others."
            )
    yield from unfinished(measured, command)
    yield from left_out(measured)
    if any(name == reference for name, _ in measured):
        yield (
            f"Difference: to {reference}, paired, on the few-shot splits, templates and examples that both have, so "
            "that it may not be that of the means; "
            f"{100 * LEVEL:.0f} % bootstrap interval over splits, templates and examples."
        )
    if table.layout.parameter_counts:
        yield from _dropped(measured, "; the paper counts what is kept" if table.layout.published else "")
    yield from samples(measured)
    yield from pocket(measured, table.layout.papers)
    yield from table.layout.notes
    if any(row.ours is None for row in table.rows):
        yield f"{NOT_OURS} As published, not run here."


def _dropped(measured: Sequence[tuple[str, Measured]], ending: str) -> Iterator[str]:
    """Methods that do not keep all that they train; those that keep more have places beside the values."""
    for name, ours in measured:
        trained, kept = ours.costs.get("trained_parameters", 0), ours.kept_parameters
        if 0 < kept < trained:
            yield f"{name} trains {count(trained)} parameters and keeps {count(kept)}{ending}."
