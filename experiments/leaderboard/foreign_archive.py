"""An archive of records that a stranger sent: unpacked as folders, for `foreign_record` to read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.leaderboard.foreign_record import FILES, InvalidRecordError, quoted
from tfew_pl.store import ADAPTATION

_LARGEST = 1 << 30
"""Bytes of an archive's content."""
_SCHEMA = {"digest": pa.string(), "name": pa.string(), "content": pa.binary()}
_DIGEST = re.compile("[0-9a-f]{16}")


def unpack(archive: Path, into: Path) -> list[Path]:
    """Writes the records of an archive (`tfew store pack`) as folders, to be read; returns them.

    Raises:
        InvalidRecordError: it is none, or one so large or with such names as no archive of records has.
    """
    if archive.is_symlink() or not archive.is_file():
        raise InvalidRecordError("not a plain file")
    folders: dict[str, Path] = {}
    left = _LARGEST
    try:
        for digest, name, content in _entries(archive):
            _check(digest, name, content)
            left -= len(content)
            if left < 0:
                raise InvalidRecordError(f"holds more than {_LARGEST} bytes")
            folder = folders.setdefault(digest, into / digest)
            folder.mkdir(exist_ok=True)
            if (folder / name).exists():
                raise InvalidRecordError(f"{name} of {digest} is there twice")
            (folder / name).write_bytes(content)
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        raise InvalidRecordError(f"cannot be read ({str(error).splitlines()[0]})") from error
    return list(folders.values())


def _entries(archive: Path) -> Iterator[tuple[Any, Any, Any]]:
    """Its files one by one: where many have the same content, it is kept once in the archive, and so in memory."""
    with pq.ParquetFile(archive) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        if sum(group.total_byte_size for group in groups) > _LARGEST:  # of what it keeps
            raise InvalidRecordError(f"holds more than {_LARGEST} bytes")
        schema = file.schema_arrow
        if dict(zip(schema.names, schema.types, strict=True)) != _SCHEMA or len(schema) != len(_SCHEMA):
            raise InvalidRecordError("has not the columns of an archive of records")
        for batch in file.iter_batches(batch_size=1, columns=list(_SCHEMA), use_threads=False):
            for row in batch.to_pylist():
                yield row["digest"], row["name"], row["content"]


def _check(digest: Any, name: Any, content: Any) -> None:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InvalidRecordError(f"{quoted(digest)} is no digest of a run")
    if name not in FILES | {ADAPTATION}:
        raise InvalidRecordError(f"{quoted(name)} is no part of a record")
    if content is None:
        raise InvalidRecordError(f"{name} of {digest} is not a file's content")
