"""What commands print: aligned tables for people, JSON for programs."""

import json as json_module
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tfew_pl.errors import UserError

if TYPE_CHECKING:  # rich is imported when something is shown
    from rich.console import Console
    from rich.table import Column as RichColumn
    from rich.table import Table

JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
"""The `--json` flag of every listing."""

_MANY = 500
"""Rows of a table for which rich is too slow."""
_BETWEEN = 3
"""Characters between two columns."""
_WORD = 12
"""Characters of a word that is not broken."""
_WIDE = 1000
"""Columns of an output that is not a terminal: nothing is cut or wrapped for a reader that does not see."""


@dataclass(frozen=True)
class Column:
    """A column of a listing."""

    key: str
    """Of the row's value."""
    title: str
    align: Literal["left", "right"] = "left"
    show: Callable[[Any], str] = str
    """The value as text; None is shown as a dash."""

    def text(self, row: Mapping[str, Any]) -> str:
        """The row's value as text."""
        value = row[self.key]
        return "-" if value is None else self.show(value)


def console() -> "Console":
    """Standard output as rich writes to it."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, emoji=False)


def fit_width(out: "Console", table: "Table") -> None:
    """Widens a console to what a table does not break: rather a line too long than a number in two."""
    out.width = max(out.width, sum(_least_width(column) + _BETWEEN for column in table.columns))


def _least_width(column: "RichColumn") -> int:
    """Of its longest line, or of most words where lines may be broken."""
    from rich.cells import cell_len

    texts = [str(text) for text in (column.header, *column.cells)]
    parts = [part for text in texts for part in (text.splitlines() if column.no_wrap else text.split())]
    longest = max(map(cell_len, parts), default=0)
    return longest if column.no_wrap else min(longest, _WORD)


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Prints rows under their columns' titles."""
    if len(rows) > _MANY:
        typer.echo("\n".join(_aligned(rows, columns)))
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify=column.align, no_wrap=column.align == "right", overflow="fold")
    for row in rows:
        table.add_row(*(column.text(row) for column in columns))
    out = console()
    fit_width(out, table)
    with out.capture() as captured:
        out.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().strip("\n").split("\n")))


def _aligned(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Iterator[str]:
    """The same lines as rich's, which takes a millisecond a row; a narrow terminal wraps them by itself."""
    texts = [[column.text(row) for column in columns] for row in rows]
    titles = [column.title for column in columns]
    widths = [max(map(len, column)) for column in zip(titles, *texts, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = zip(cells, widths, columns, strict=True)
        return "   ".join(c.rjust(w) if column.align == "right" else c.ljust(w) for c, w, column in padded).rstrip()

    yield line(titles)
    yield "─" * (sum(widths) + 3 * (len(widths) - 1))
    yield from map(line, texts)


def show_json(value: Any) -> None:
    """Prints a value as JSON: a list of rows, or an object."""
    indent = None if isinstance(value, list) and all(isinstance(v, int) for v in value) else 2
    typer.echo(json_module.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False))


def write_file(path: Path, content: bytes) -> None:
    """Writes a file and its folder, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
