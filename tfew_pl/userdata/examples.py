"""From tables to a task with its examples, every row checked before anything is trained or predicted."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tfew_pl.errors import UserError
from tfew_pl.naming import look_up
from tfew_pl.tasks.task import Row
from tfew_pl.userdata.fitted import Fitted
from tfew_pl.userdata.table import Table, Values, open_table
from tfew_pl.userdata.task import TEXT, TextTask, define, find_column, read_label


def read_training(
    path: Path,
    *,
    text: str | None = None,
    label: str,
    template: str | None = None,
    answers: Mapping[str, str] | None = None,
) -> tuple[TextTask, list[Row]]:
    """The task that a table of labeled rows describes, and its examples; arguments as for `define`.

    A column of texts that is named must be there and be used; `text` is looked for where none is.

    Raises:
        UserError: the table cannot be read or is no such task; the message names the line.
    """
    table = open_table(path)
    find_column(label, table.columns, f"{path}: --label")
    if text is not None or template is None:
        find_column(text or TEXT, table.columns, f"{path}: --text")
    found = list(table)
    labels = [read_label(values[label], _cell(table, number, label)) for number, values in found]
    task = define(
        path.stem, table.columns, labels, text=text or TEXT, label=label, template=template, answers=answers,
        where=str(path),
    )  # fmt: skip
    if text is not None and task.text_column is None:
        raise UserError(f"--text {text}: the template does not use it; there it is called {{{{ {TEXT} }}}}")
    rows = [task.row(values, table.where(number), own) for (number, values), own in zip(found, labels, strict=True)]
    for (number, _), row in zip(found, rows, strict=True):
        task.check_rendering(row, table.where(number))
    return task, rows


def read_test(path: Path, task: TextTask, label: str) -> list[Row]:
    """The examples of a table to measure on.

    Raises:
        UserError: it cannot be read, lacks a column, or has a label of its own.
    """
    table = open_table(path)
    find_column(label, table.columns, f"{path}: --label")
    task.check_columns(table.columns, str(path))
    rows = []
    for number, values in table:
        where = table.where(number)
        rows.append(task.row(values, where, read_label(values[label], _cell(table, number, label))))
        task.check_rendering(rows[-1], where)
    return rows


def _cell(table: Table, number: int, column: str) -> str:
    return f"{table.where(number)}: column {column!r}"


class Routed:
    """Rows to predict, each with the number of the task that it goes to.

    Args:
        table: of the rows.
        fitted: the tasks, by name.
        route: the column that says the task of a row; None where there is one task only.

    Raises:
        UserError: the table lacks a column.
    """

    def __init__(self, table: Table, fitted: Mapping[str, Fitted], route: str | None) -> None:
        self._table = table
        self._tasks = [one.task for one in fitted.values()]
        self._numbers = {name: number for number, name in enumerate(fitted)}
        self._route = route
        if route is None and len(fitted) > 1:
            raise UserError(
                f"{len(fitted)} folders need --route: the column that says which of {', '.join(fitted)} a row goes to"
            )
        if route is not None:
            find_column(route, table.columns, f"{table.path}: --route")
        for task in self._tasks:
            task.check_columns(table.columns, str(table.path))

    def __iter__(self) -> Iterator[tuple[Values, int, Row]]:
        for number, values in self._table:
            where = self._table.where(number)
            task = 0 if self._route is None else self._task_of(values[self._route], where)
            yield values, task, self._tasks[task].row(values, where)

    def _task_of(self, name: object, where: str) -> int:
        try:
            return look_up("task", str(name), self._numbers)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error

    def check(self) -> None:
        """Reads and renders every row once, before any weight is loaded.

        Raises:
            UserError: a row cannot be read or rendered, or names no task; the message names the line.
        """
        for number, values in self._table:
            where = self._table.where(number)
            task = 0 if self._route is None else self._task_of(values[self._route], where)
            self._tasks[task].check_rendering(self._tasks[task].row(values, where), where)

    def chunks(self, size: int) -> Iterator[Sequence[tuple[Values, int, Row]]]:
        """The rows in their order, some at a time."""
        chunk: list[tuple[Values, int, Row]] = []
        for row in self:
            chunk.append(row)
            if len(chunk) == size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
