"""A table as text: titles, cells, notes; and how it is written out."""

import csv
import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.output import fit_width

if TYPE_CHECKING:  # rich is imported when something is shown
    from rich.console import Console
    from rich.table import Table

_NOTE_WIDTH = 110
_MARKUP = re.compile(r"[|*_<`\\~&]|\](?=[(\[:])")
"""What Markdown would not show: a bracket only where it would end the text of a link."""


@dataclass(frozen=True)
class Block:
    """A table of cells that are ready to be read; the first column is on the left, the others on the right.

    A title in the header may have two lines.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    last_apart: bool = False
    """Whether the last row sums the others up and stands apart from them."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"{len(row)} cells under {len(self.header)} titles: {row}")


@dataclass(frozen=True)
class Document:
    """Tables with notes below them."""

    blocks: tuple[Block, ...]
    notes: tuple[str, ...]


def markdown(*documents: Document) -> str:
    """Documents as Markdown; cells are aligned in the source too."""
    return "\n".join(map(_markdown_document, documents))


def _markdown_document(document: Document) -> str:
    parts = [line for block in document.blocks for line in _markdown_block(block)]
    parts += [f"- {escaped(note)}" for note in document.notes]
    return "\n".join(parts) + "\n"


def _markdown_block(block: Block) -> Iterator[str]:
    rows = [tuple(escaped(cell.replace("\n", " ").strip()) for cell in row) for row in (block.header, *block.rows)]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(block.header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = cells
        padded = [first.ljust(widths[0])] + [c.rjust(w) for c, w in zip(others, widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    dashes = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    yield from (f"**{escaped(block.title)}**", "", line(rows[0]), f"|{'|'.join(dashes)}|")
    yield from map(line, rows[1:])
    yield ""


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\g<0>", text)


def text(console: "Console", *documents: Document) -> str:
    """Documents as they are printed on a console; what is wider than it is not cut."""
    return "".join(_text_document(document, console) for document in documents)


def _text_document(document: Document, console: "Console") -> str:
    width = min(_NOTE_WIDTH, console.width)
    with console.capture() as captured:
        for block in document.blocks:
            console.print(block.title, style="bold")
            table = _rich_table(block)
            fit_width(console, table)
            console.print(table)
            console.print()
        for note in document.notes:
            console.print(textwrap.fill(note, width, initial_indent="- ", subsequent_indent="  "))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _rich_table(block: Block) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for i, title in enumerate(block.header):
        table.add_column(title, justify="right" if i else "left", vertical="bottom", no_wrap=True)
    for number, row in enumerate(block.rows, 1):
        table.add_row(*row, end_section=block.last_apart and number == len(block.rows) - 1)
    return table


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as CSV; None is an empty cell."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
