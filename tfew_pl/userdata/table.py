"""Reading a user's table, row by row: CSV, TSV, JSON lines or Parquet.

A file is never held as a whole, and what is wrong with it is told with its line.
"""

import codecs
import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from tfew_pl.errors import UserError

if TYPE_CHECKING:  # pyarrow is loaded for Parquet alone
    import pyarrow as pa
    import pyarrow.parquet as pq

CELL_CHARACTERS = 131_072
"""The longest text of a cell (the csv module's own limit)."""
_PARQUET_ROWS = 1024
"""Rows that are read from a Parquet file at a time."""

Values = Mapping[str, Any]
Numbered = Iterator[tuple[int, Values]]


@dataclass(frozen=True)
class Table:
    """A table on disk; iterating reads it anew, and gives each row's line, or number, with its values."""

    path: Path
    columns: tuple[str, ...]
    """In the file's order; in JSON lines, those of the first line."""
    unit: str
    """What rows are counted in: `line` or, in Parquet, `row`."""
    _rows: Callable[[], Numbered]

    def __iter__(self) -> Numbered:
        return self._rows()

    @property
    def is_json(self) -> bool:
        """Whether it is JSON lines."""
        return self.path.suffix.lower() in (".jsonl", ".ndjson")

    def where(self, number: int) -> str:
        """The place of a row, for a message."""
        return f"{self.path}, {self.unit} {number}"


def open_table(path: Path) -> Table:
    """A table, of which only the columns have been read.

    Args:
        path: its ending says what it is.

    Raises:
        UserError: it is not there, is none of the formats, has no row, or has two columns of one name. Iterating
            raises it too, for a row that cannot be read.
    """
    readers = {".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet}
    try:
        if not path.exists():
            raise UserError(f"{path}: no such file")
        if not path.is_file():
            raise UserError(f"{path}: not a file")
        reader = readers.get(path.suffix.lower())
        if reader is None:
            raise UserError(f"{path}: it is read by its ending, which is one of {', '.join(readers)}")
        if not os.access(path, os.R_OK):
            raise UserError(f"{path}: it cannot be read; check its permissions")
        if path.stat().st_size == 0:
            raise UserError(f"{path}: the file is empty")
        table = reader(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    twice = sorted({column for column in table.columns if table.columns.count(column) > 1})
    if twice:
        raise UserError(f"{path}: two columns are called {twice[0]!r}; rename one")
    if next(iter(table), None) is None:
        raise UserError(f"{path}: there is no row below the columns' names")
    return table


def _lines(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


def _not_utf8(path: Path) -> UserError:
    """What to say of a file that is no UTF-8, with the line of its first wrong byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError as error:
                return UserError(f"{path}, line {number}: not UTF-8 ({error.reason}); save the file as UTF-8")
    return UserError(f"{path}: it ends within a character; save the file as UTF-8")


# CSV and TSV


def _csv(path: Path) -> Table:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","

    def records() -> Iterator[tuple[int, list[str]]]:
        with _lines(path) as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            start = 1
            try:
                for cells in reader:
                    if cells:
                        yield start, cells
                    start = reader.line_num + 1
            except csv.Error as error:
                raise UserError(f"{path}, line {start}: {_csv_problem(error)}") from error
            except UnicodeDecodeError as error:
                raise _not_utf8(path) from error

    def rows() -> Numbered:
        found = records()
        next(found)
        for number, cells in found:
            if len(cells) != len(columns):
                raise UserError(
                    f"{path}, line {number}: {len(cells)} cells under {len(columns)} columns; "
                    f"put a text that holds the separator between double quotes"
                )
            yield number, dict(zip(columns, cells, strict=True))

    first = next(records(), None)
    if first is None:
        raise UserError(f"{path}: the file is empty")
    columns = tuple(first[1])
    _check_separator(path, columns)
    return Table(path, columns, "line", rows)


def _csv_problem(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a double quote is opened here and never closed"
    if "field limit" in str(error):
        return (
            f"a cell of more than {CELL_CHARACTERS:,} characters: a text is cut to some hundred tokens anyway "
            f"(or is a double quote never closed?)"
        )
    return f"{error}; within a quoted text, write a double quote twice"


def _check_separator(path: Path, columns: Sequence[str]) -> None:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
        if len(columns) == 1 and separator in columns[0]:
            wanted = "tabs" if path.suffix.lower() == ".tsv" else "commas"
            raise UserError(
                f"{path}: its first line is separated by {name}: save it with {wanted}"
                + (", or call it .tsv" if separator == "\t" else "")
            )


# JSON lines


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"two fields are called {next(n for n in names if names.count(n) > 1)!r}")
    return found


def _json_lines(path: Path) -> Table:
    def objects() -> Numbered:
        with _lines(path) as stream:
            try:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield number, _json_object(path, number, line)
            except UnicodeDecodeError as error:
                raise _not_utf8(path) from error

    def rows() -> Numbered:
        for number, values in objects():
            more = [name for name in values if name not in columns]
            if more:
                raise UserError(f"{path}, line {number}: the first line has no field {more[0]!r}; give it one")
            _check_cells(f"{path}, line {number}", values)
            yield number, {column: values.get(column) for column in columns}

    first = next(objects(), None)
    if first is None:
        raise UserError(f"{path}: the file is empty")
    columns = tuple(first[1])
    return Table(path, columns, "line", rows)


def _json_object(path: Path, number: int, line: str) -> Values:
    try:
        found = json.loads(line, object_pairs_hook=_object)
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise UserError(f"{path}, line {number}: not a JSON object on one line ({reason})") from error
    except RecursionError as error:
        raise UserError(f"{path}, line {number}: nested too deeply") from error
    if not isinstance(found, dict):
        raise UserError(f'{path}, line {number}: a JSON object is expected, such as {{"text": "..."}}')
    return found


def _check_cells(where: str, values: Values) -> None:
    for column, value in values.items():
        for text in _texts(value):
            if len(text) > CELL_CHARACTERS:
                raise UserError(f"{where}: column {column!r} holds a cell of more than {CELL_CHARACTERS:,} characters")
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise UserError(f"{where}: column {column!r} holds half of a surrogate pair, which is no character")


def _texts(value: object) -> Iterator[str]:
    """The texts in a cell, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (*_texts(key), *_texts(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


# Parquet


def _open_parquet(path: Path) -> "pq.ParquetFile":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        _not_parquet(path, error)


def _not_parquet(path: Path, error: Exception) -> NoReturn:
    raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def parquet_schema(path: Path) -> "pa.Schema":
    """The columns' types.

    Raises:
        UserError: it is not a readable Parquet file.
    """
    return _open_parquet(path).schema_arrow


def _parquet(path: Path) -> Table:
    import pyarrow as pa

    def rows() -> Numbered:
        number = 0
        try:
            for batch in _open_parquet(path).iter_batches(_PARQUET_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    _check_cells(f"{path}, row {number}", values)
                    yield number, values
        except (pa.ArrowException, OSError) as error:
            _not_parquet(path, error)

    return Table(path, tuple(parquet_schema(path).names), "row", rows)
