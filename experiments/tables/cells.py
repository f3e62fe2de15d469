"""The words that all tables share: their cells, and the notes that say what was measured."""

from collections.abc import Iterator, Sequence

from experiments.quantities import percent
from experiments.statistics import Spread
from experiments.tables.variants import Measured
from tfew_pl.spec import ZERO_SHOT
from tfew_pl.tasks.data import POCKET

NONE = "-"
"""There is no such number."""
MISSING = "missing"
"""The runs that would give the number are not finished."""
PARTIAL = "*"
"""Marks a number to which some finished runs only contribute."""
NOT_OURS = "†"
"""Marks a row that is the paper's alone."""


def with_iqr(spread: Spread) -> str:
    """A median with its interquartile range."""
    return f"{percent(spread.median)} ({percent(spread.iqr)})"


def as_printed(accuracy: float) -> str:
    """The paper has two digits after the point where a median falls between two accuracies."""
    return f"{accuracy:.2f}".removesuffix("0")


def on_task(ours: Measured, task: str) -> str:
    """Our accuracy on a task as far as its runs are finished."""
    found = ours.task(task)
    if found is None:
        return MISSING if task in ours.asked else NONE
    return with_iqr(found.accuracy) + (PARTIAL if found.runs < ours.asked[task] else "")


def mean(ours: Measured) -> str:
    """Our mean accuracy over tasks."""
    return MISSING if ours.accuracy is None else with_iqr(ours.accuracy)


def span(values: Sequence[int]) -> str:
    """The values from the lowest to the highest."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def plural(number: str, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _sample(ours: Measured) -> str:
    """What the finished runs' accuracy was measured on."""
    splits = plural(span([task.runs for task in ours.tasks]), "few-shot split")
    if ours.method == ZERO_SHOT:
        splits = "no few-shot split"
    templates = plural(span([task.templates for task in ours.tasks]), "template")
    examples = plural(span([task.examples for task in ours.tasks]), "example")
    limits = []
    if ours.evaluation.templates:
        limits.append(f"the first {ours.evaluation.templates} templates")
    if ours.evaluation.examples:
        limits.append(f"the first {ours.evaluation.examples} evaluation examples")
    limited = f" (only {' and '.join(limits)}, for its cost)" if limits else ""
    return f"{splits} × {templates} × {examples} a task{limited}"


def samples(rows: Sequence[tuple[str, Measured]]) -> Iterator[str]:
    """A note on what was measured on what; rows with the same sample are named together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, ours in rows:
        if ours.tasks:
            groups.setdefault((ours.backbone, _sample(ours)), []).append(name)
    if groups:
        parts = [
            f"{'all rows' if len(names) == len(rows) > 1 else ', '.join(names)} ({backbone}): {sample}"
            for (backbone, sample), names in groups.items()
        ]
        yield f"Measured on: {'; '.join(parts)}."


def left_out(rows: Sequence[tuple[str, Measured]]) -> Iterator[str]:
    """A note on the tasks without an accuracy."""
    tasks = sorted({task for _, ours in rows for task in ours.unlabeled})
    if tasks:
        yield f"Left out, as their evaluation examples have no labels: {', '.join(tasks)}."


def pocket(rows: Sequence[tuple[str, Measured]], papers: str) -> Iterator[str]:
    """A note on how little pocket numbers compare with the paper's.

    Args:
        rows: ours.
        papers: backbones and tasks of the paper's numbers; empty where there are none.
    """
    if any(ours.data == POCKET for _, ours in rows):
        beside = f"The paper's: {papers}. Compare the order of the methods, not the numbers." if papers else ""
        yield f"Ours: pocket backbones on generated tasks in the real ones' schemas. {beside}".strip()


def unfinished(rows: Sequence[tuple[str, Measured]], command: str) -> Iterator[str]:
    """A note on the runs that are missing.

    Args:
        rows: ours.
        command: what makes them.
    """
    missing = sum(ours.missing for _, ours in rows)
    if missing:
        asked = sum(sum(ours.asked.values()) for _, ours in rows)
        partial = any(task.runs < ours.asked[task.task] for _, ours in rows for task in ours.tasks)
        mark = f"; {PARTIAL} marks medians over those that are there" if partial else ""
        yield f"{missing} of {asked} runs are missing{mark}. The command that makes them: {command}"
