"""Writing predicted rows, chunk by chunk: CSV, TSV, JSON lines or Parquet; a file appears when it is complete."""

import csv
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tfew_pl.atomic import check_target, new_file
from tfew_pl.errors import UserError
from tfew_pl.userdata.table import Table, parquet_schema

if TYPE_CHECKING:  # pyarrow is loaded for Parquet alone
    import pyarrow as pa

Write = Callable[[Sequence[Mapping[str, Any]]], None]
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def check_output(path: Path) -> None:
    """Refuses a file that could not be written, before the work.

    Raises:
        UserError: its ending is none of the formats, or its folder cannot be written to.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"--output {path}: it is written by its ending, which is one of {', '.join(ENDINGS)}")
    if path.is_dir():
        raise UserError(f"--output {path}: a folder")
    check_target(path, "--output")


def parquet_types(table: Table) -> "Mapping[str, pa.DataType]":
    """The types of a table's columns in a Parquet file; of JSON lines, those that hold every row's values.

    Raises:
        UserError: some column has none.
    """
    import pyarrow as pa

    if table.path.suffix.lower() == ".parquet":
        return {field.name: field.type for field in parquet_schema(table.path)}
    if not table.is_json:
        return dict.fromkeys(table.columns, pa.string())
    schema = pa.schema([])
    with _fitting():
        for rows in _chunks(table):
            schema = pa.unify_schemas([schema, pa.Table.from_pylist(rows).schema], promote_options="permissive")
    return {field.name: pa.string() if pa.types.is_null(field.type) else field.type for field in schema}


def _chunks(table: Table, size: int = 1024) -> Iterator[list[dict[str, Any]]]:
    rows = (dict(values) for _, values in table)
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


@contextmanager
def _fitting() -> Iterator[None]:
    """Says in a line what does not fit a Parquet file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"these rows do not fit a Parquet file ({reason}): write .jsonl") from error


@contextmanager
def write_rows(
    path: Path | None, columns: Sequence[str], types: "Mapping[str, pa.DataType]", json_lines: bool
) -> Iterator[Write]:
    """Gives what writes rows.

    Args:
        path: None for standard output.
        columns: in the order to write them.
        types: of all columns, for Parquet.
        json_lines: on standard output, JSON lines instead of CSV.

    Raises:
        UserError: the file cannot be written, or a column's type changes on the way to a Parquet file.
    """
    if path is None:
        yield _json_lines(sys.stdout) if json_lines else _csv(sys.stdout, columns, ",")
        return
    ending = path.suffix.lower()
    with new_file(path) as unfinished:
        if ending == ".parquet":
            with _parquet(unfinished, columns, types) as write:
                yield write
        else:
            with unfinished.open("w", encoding="utf-8", newline="") as stream:
                yield (
                    _csv(stream, columns, "\t" if ending == ".tsv" else ",")
                    if ending in (".csv", ".tsv")
                    else (_json_lines(stream))
                )


class _Lines:
    """Ends lines as Unix does what csv's writer ends so that it quotes both of the characters that end lines."""

    END = "\r\n"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        self._stream.write(f"{line.removesuffix(self.END)}\n")


def _csv(stream: TextIO, columns: Sequence[str], delimiter: str) -> Write:
    writer = csv.writer(_Lines(stream), delimiter=delimiter, lineterminator=_Lines.END)
    writer.writerow(columns)

    def write(rows: Sequence[Mapping[str, Any]]) -> None:
        writer.writerows([_cell(row[column]) for column in columns] for row in rows)

    return write


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value


def _json_lines(stream: TextIO) -> Write:
    def write(rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            stream.write(json.dumps(_finite(row), ensure_ascii=False, default=str) + "\n")

    return write


def _finite(value: Any) -> Any:
    """The value with None for what JSON has no number for, at any depth."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _parquet(path: Path, columns: Sequence[str], types: "Mapping[str, pa.DataType]") -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _fitting():
        writer = pq.ParquetWriter(path, pa.schema([(column, types[column]) for column in columns]))

    def write(rows: Sequence[Mapping[str, Any]]) -> None:
        with _fitting():
            writer.write_table(pa.Table.from_pylist([dict(row) for row in rows], writer.schema))

    with writer:
        yield write
