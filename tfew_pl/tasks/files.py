"""Rows of Parquet, JSONL, CSV and TSV files."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfew_pl.errors import UserError


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    return rows


def _jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number}: expected an object, not {line.strip()[:40]}")
            rows.append(row)
    return rows


def _separated(separator: str) -> Callable[[Path], list[dict[str, Any]]]:
    def read(path: Path) -> list[dict[str, Any]]:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=separator, strict=True)
            try:
                header = next(reader, [])
                if len(set(header)) < len(header):
                    raise UserError(f"{path}: a heading stands twice in {', '.join(header)}")
                rows = []
                for values in filter(None, reader):  # blank lines are none
                    if len(values) != len(header):
                        raise UserError(
                            f"{path}, line {reader.line_num}: {len(values)} values under {len(header)} headings"
                        )
                    rows.append(dict(zip(header, values, strict=True)))
                return rows
            except csv.Error as error:
                raise UserError(f"{path}, line {reader.line_num}: not readable ({error})") from error

    return read


_READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
    "csv": _separated(","),
    "tsv": _separated("\t"),
}
FORMATS = tuple(_READERS)
"""Endings of files that can be read, the preferred one first."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, by its ending.

    Raises:
        UserError: it cannot be read; the message says where it is wrong.
    """
    try:
        return _READERS[path.suffix.removeprefix(".").lower()](path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
