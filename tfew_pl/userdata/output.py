"""Writing predicted rows, chunk by chunk: CSV, TSV, JSON lines or Parquet; a file appears when it is complete."""

import csv
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


def known_types(table: Table) -> "Mapping[str, pa.DataType]":
    """The types of a table's columns; of JSON lines nothing is known beforehand."""
    import pyarrow as pa

    if table.is_json:
        return {}
    if table.path.suffix.lower() == ".parquet":
        return {field.name: field.type for field in parquet_schema(table.path)}
    return dict.fromkeys(table.columns, pa.string())


@contextmanager
def write_rows(
    path: Path | None, columns: Sequence[str], types: "Mapping[str, pa.DataType]", json_lines: bool
) -> Iterator[Write]:
    """Gives what writes rows.

    Args:
        path: None for standard output.
        columns: in the order to write them.
        types: of the columns that are known, for Parquet; the others' are those of the first rows.
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


def _csv(stream: TextIO, columns: Sequence[str], delimiter: str) -> Write:
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)

    def write(rows: Sequence[Mapping[str, Any]]) -> None:
        writer.writerows([_cell(row[column]) for column in columns] for row in rows)

    return write


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value


def _json_lines(stream: TextIO) -> Write:
    def write(rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
            stream.write(json.dumps(finite, ensure_ascii=False, default=str) + "\n")

    return write


@contextmanager
def _parquet(path: Path, columns: Sequence[str], types: "Mapping[str, pa.DataType]") -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: pq.ParquetWriter | None = None

    def write(rows: Sequence[Mapping[str, Any]]) -> None:
        nonlocal writer
        try:
            if writer is None:
                found = pa.Table.from_pylist([dict(row) for row in rows]).schema
                empty = {field.name: pa.string() for field in found if pa.types.is_null(field.type)}
                known = {field.name: field.type for field in found} | empty | dict(types)
                writer = pq.ParquetWriter(path, pa.schema([(column, known[column]) for column in columns]))
            writer.write_table(pa.Table.from_pylist([dict(row) for row in rows], writer.schema))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"these rows do not fit a Parquet file ({reason}): write .jsonl") from error

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
