"""Table 1 for people: three blocks and the notes that say what stands in them."""

from collections.abc import Callable, Iterator

from experiments import published
from experiments.quantities import count, percent, scientific, size
from experiments.tables.block import Block, Document
from experiments.tables.cells import (
    NONE,
    NOT_OURS,
    as_printed,
    left_out,
    mean,
    on_task,
    pocket,
    samples,
    span,
    unfinished,
)
from experiments.tables.table1 import Row, Table1, paper_accuracy
from tfew_pl.spec import IN_CONTEXT
from tfew_pl.tasks.heldout import TASKS


def document(table: Table1, command: str) -> Document:
    """The table for people.

    Args:
        table: what to show.
        command: what makes missing runs.
    """
    return Document((_summary(table), _costs(table), _tasks(table)), tuple(_notes(table, command)))


def _name(row: Row) -> str:
    return row.name if row.ours else f"{row.name} {NOT_OURS}"


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return NONE if value is None else show(value)


def _summary(table: Table1) -> Block:
    rows = []
    for row in table.rows:
        ours, values = row.ours, row.values()
        rows.append(
            (
                _name(row),
                _shown(values["parameters"], count),
                mean(ours) if ours else NONE,
                _shown(row.paper.accuracy if row.paper else None, percent),
                _shown(values["inference_flops"], scientific),
                _shown(values["training_flops"], scientific),
                _shown(values["disk_bytes"], size),
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
            cells += [_shown(value, show) for value in pair]
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
    for task in TASKS:
        cells = [task.title, percent(100 * task.chance)]
        for row, ours in measured:
            paper = paper_accuracy(row, task.name)
            cells += [on_task(ours, task.name), as_printed(paper.median) if paper else NONE]
        rows.append(tuple(cells))
    cells = ["mean", percent(100 * sum(task.chance for task in TASKS) / len(TASKS))]
    for row, ours in measured:
        cells += [mean(ours), _shown(_mean_of_parts(row), percent)]
    title = "Accuracy by task: median (IQR)"
    return Block(title, tuple(header), (*rows, tuple(cells)), last_apart=True)


def _mean_of_parts(row: Row) -> float | None:
    """The mean over the tasks of what the paper prints for them."""
    if row.paper is None:
        return None
    parts = [part.median for part in published.accuracies(9)[row.paper.method].values()]
    return sum(parts) / len(parts)


def _notes(table: Table1, command: str) -> Iterator[str]:
    measured = [(row.name, ours) for row, ours in table.measured]
    tasks = span([len(ours.asked) for _, ours in measured])
    yield (
        "Accuracy in percent: for each task the median over few-shot splits and templates, then the mean "
        f"over {tasks} tasks. IQR: 75th less 25th percentile, likewise."
    )
    yield from unfinished(measured, command)
    yield from left_out(measured)
    yield from samples(measured)
    yield from pocket(measured, "backbones of 11B on the real tasks")
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
            f"{NOT_OURS} As published, not run here. Its costs are recomputed and include the query's "
            "tokens, which the paper leaves out for GPT-3 6.7B and 13B."
        )
    for row, _ in table.measured:
        parts = _mean_of_parts(row)
        # Rounding of the printed mean explains a difference of 0.05.
        if row.paper and parts is not None and abs(parts - row.paper.accuracy) > 0.051:
            yield (
                f"The paper prints {percent(row.paper.accuracy)} for {row.paper.method} in Table 1; its "
                f"numbers by task, in Table 9, have a mean of {percent(parts)}."
            )
