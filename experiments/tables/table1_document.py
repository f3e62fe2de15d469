"""Table 1 for people: three blocks and the notes that say what stands in them."""

from collections.abc import Iterator

from experiments import published
from experiments.quantities import count, percent, scientific, size
from experiments.tables.block import Block, Document
from experiments.tables.table1 import Measured, Row, Table1, paper_accuracy
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.data import POCKET

_NONE = "-"
_NOT_OURS = "†"
"""Marks a row that is the paper's alone."""


def document(table: Table1) -> Document:
    """The table for people."""
    return Document((_summary(table), _costs(table), _tasks(table)), tuple(_notes(table)))


def _with_iqr(median: float, iqr: float) -> str:
    return f"{percent(median)} ({percent(iqr)})"


def _as_printed(accuracy: float) -> str:
    """The paper has two digits after the point where a median falls between two accuracies."""
    return f"{accuracy:.2f}".removesuffix("0")


def _name(row: Row) -> str:
    return row.name if row.ours else f"{row.name} {_NOT_OURS}"


def _summary(table: Table1) -> Block:
    rows = []
    for row in table.rows:
        ours, values = row.ours, row.values()
        rows.append(
            (
                _name(row),
                count(values["parameters"]),
                _with_iqr(ours.accuracy.median, ours.accuracy.iqr) if ours else _NONE,
                percent(row.paper.accuracy) if row.paper else _NONE,
                scientific(values["inference_flops"]),
                scientific(values["training_flops"]),
                size(values["disk_bytes"]),
            )
        )
    header = ("method", "N", "accuracy\n(IQR)", "\npaper", "inference\nFLOPs", "training\nFLOPs", "disk\nspace")
    return Block("Table 1: accuracy on the held-out tasks, and its cost", header, tuple(rows))


def _costs(table: Table1) -> Block:
    kinds = (("inference_flops", scientific), ("training_flops", scientific), ("disk_bytes", size))
    rows = []
    for row in table.rows:
        values = row.values()
        cells = [_name(row)]
        for key, show in kinds:
            pair = (values[f"measured_{key}"], values[f"paper_{key}"])
            cells += [_NONE if value is None else show(value) for value in pair]
        rows.append(tuple(cells))
    header = ["method"]
    for quantity in ("inference", "training", "disk"):
        header += [f"{quantity}\nmeasured", "\npaper"]
    return Block("The same costs as measured, and as the paper prints them", tuple(header), tuple(rows))


def _tasks(table: Table1) -> Block:
    measured = table.measured
    header = ["task", "chance"]
    for row, _ in measured:
        header += ["\n".join(row.name.rsplit(maxsplit=1)), f"paper\n{row.paper.method}" if row.paper else "\npaper"]
    rows = []
    for name, task in TASKS.items():
        cells = [task.title, percent(100 * task.chance)]
        for row, ours in measured:
            accuracy = next((t.accuracy for t in ours.tasks if t.task == name), None)
            paper = paper_accuracy(row, name)
            cells.append(_with_iqr(accuracy.median, accuracy.iqr) if accuracy else _NONE)
            cells.append(_as_printed(paper.median) if paper else _NONE)
        rows.append(tuple(cells))
    cells = ["mean", percent(100 * sum(task.chance for task in TASKS.values()) / len(TASKS))]
    for row, ours in measured:
        mean = _mean_of_parts(row)
        cells.append(_with_iqr(ours.accuracy.median, ours.accuracy.iqr))
        cells.append(_NONE if mean is None else percent(mean))
    title = "Accuracy by task: median (IQR)"
    return Block(title, tuple(header), (*rows, tuple(cells)), last_apart=True)


def _mean_of_parts(row: Row) -> float | None:
    """The mean over the tasks of what the paper prints for them."""
    if row.paper is None:
        return None
    parts = [part.median for part in published.table9()[row.paper.method].values()]
    return sum(parts) / len(parts)


def _span(values: list[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _plural(number: str, noun: str) -> str:
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _sample(row: Row, ours: Measured) -> str:
    """What a row's accuracy was measured on."""
    splits = _plural(_span([t.runs for t in ours.tasks]), "few-shot split")
    if ours.method == ZERO_SHOT:
        splits = "no few-shot split"
    templates = _plural(_span([t.templates for t in ours.tasks]), "template")
    examples = _plural(_span([t.examples for t in ours.tasks]), "example")
    limits = []
    if ours.evaluation.templates:
        limits.append(f"the first {ours.evaluation.templates} templates")
    if ours.evaluation.examples:
        limits.append(f"the first {ours.evaluation.examples} evaluation examples")
    limited = f" (only {' and '.join(limits)}, for its cost)" if limits else ""
    return f"{row.name} ({ours.backbone}): {splits} × {templates} × {examples} a task{limited}"


def _notes(table: Table1) -> Iterator[str]:
    measured = table.measured
    tasks = _span([len(ours.tasks) for _, ours in measured])
    yield (
        "Accuracy in percent: for each task the median over few-shot splits and templates, then the mean "
        f"over {tasks} tasks. IQR: 75th less 25th percentile, likewise."
    )
    yield "Measured on: " + "; ".join(_sample(row, ours) for row, ours in measured) + "."
    if any(ours.data == POCKET for _, ours in measured):
        yield (
            "Ours: pocket backbones on generated tasks in the real ones' schemas. The paper's: backbones of "
            "11B on the real tasks. Compare the order of the methods, not the numbers."
        )
    costs = (
        "FLOPs of one prediction and of one training, and disk space, by the formulas of the paper's Section "
        "4.2 for a backbone of N parameters and the token counts at hand; measured: matrix products as PyTorch "
        "counts them, and the bytes that are kept. Medians over tasks."
    )
    if any(ours.method == IN_CONTEXT for _, ours in measured):
        costs += (
            " In-context learning by ensemble runs the query once behind every example, where the formula "
            "has them all in one context."
        )
    yield costs
    if any(row.ours is None for row in table.rows):
        yield (
            f"{_NOT_OURS} As published, not run here. Its costs are recomputed and include the query's "
            "tokens, which the paper leaves out for GPT-3 6.7B and 13B."
        )
    for row, _ in measured:
        mean = _mean_of_parts(row)
        # Rounding of the printed mean explains a difference of 0.05.
        if row.paper and mean is not None and abs(mean - row.paper.accuracy) > 0.051:
            yield (
                f"The paper prints {percent(row.paper.accuracy)} for {row.paper.method} in Table 1; its "
                f"numbers by task, in Table 9, have a mean of {percent(mean)}."
            )
