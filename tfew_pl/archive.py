"""Archives: the records of many runs in one Parquet file, byte for byte, as they are committed.

A row is a file of a record: `digest` of its run, `name`, `content`. Files of one name stand together in one compressed
page, so that what they have in common costs nothing: a run without its adaptation takes some 1 kB, a tenth of its
folder.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tfew_pl.atomic import new_file
from tfew_pl.errors import UserError

ENDING = ".archive.parquet"
"""Of an archive's file, behind the name of what is in it."""
Contents = Mapping[str, Mapping[str, bytes]]
"""Files by the run's digest and by their name."""
_ONE_PAGE = 1 << 30
_COLUMNS = ("digest", "name", "content")


def read_archive(path: Path) -> Contents:
    """What an archive holds.

    Raises:
        UserError: it cannot be read.
    """
    try:
        status = path.stat()
        return _read(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are of these kinds
        raise UserError(f"{path}: not a readable archive of records ({error})") from error


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int) -> Contents:
    import pyarrow.parquet as parquet

    table = parquet.read_table(path, columns=list(_COLUMNS))
    contents: dict[str, dict[str, bytes]] = {}
    for digest, name, content in zip(*(table[column].to_pylist() for column in _COLUMNS), strict=True):
        contents.setdefault(digest, {})[name] = content
    return contents


def write_archive(path: Path, contents: Contents) -> None:
    """Writes an archive beside its place and renames it into it; the same contents give the same bytes.

    Raises:
        UserError: it cannot be written; nothing is left behind.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    rows = sorted((name, digest) for digest, files in contents.items() for name in files)
    table = pyarrow.table(
        {
            "digest": [digest for _, digest in rows],
            "name": [name for name, _ in rows],
            "content": pyarrow.array([contents[digest][name] for name, digest in rows], pyarrow.binary()),
        }
    )
    with new_file(path) as beside:
        parquet.write_table(
            table,
            beside,
            compression="zstd",
            compression_level=19,
            use_dictionary=["name"],
            data_page_size=_ONE_PAGE,
            row_group_size=max(len(rows), 1),
            write_statistics=False,
        )
