"""RunStore: records on disk, one folder a run, or many runs packed into an archive.

A record is written beside its place and renamed into it, so that what stands there is complete. Several
processes may write: the first to finish a run wins, the others' copies are dropped. `tfew_pl.store_archives` moves
records between folders and archives.
"""

import dataclasses
import errno
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfew_pl.archive import ENDING, Contents, read_archive
from tfew_pl.atomic import UNFINISHED, sync
from tfew_pl.errors import UserError
from tfew_pl.record import SCHEMA_VERSION, Costs, RunRecord
from tfew_pl.spec import RunSpec

if TYPE_CHECKING:  # listing runs must not wait for pandas
    import pandas as pd

RECORD = "record.json"
PREDICTIONS = "predictions.parquet"
LOSSES = "losses.parquet"
ADAPTATION = "adaptation.safetensors"
LEASES = "leases"
"""Folder of the store in which its runners say what they are doing (`tfew_pl.leases`)."""
CHECKPOINTS = "checkpoints"
"""Folder of the store for the trainings that are underway (`tfew_pl.resume`)."""
FAILURES = "failures"
"""Folder of the store for the reasons why runs failed (`experiments.failures`)."""
LOGS = "logs"
"""Folder of the store for the logs of failed runs."""
_DIGEST = re.compile("[0-9a-f]{16}")
_ABANDONED_SECONDS = 3600
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class UnwritableStoreError(UserError):
    """A record cannot be written, and neither can the next: there is no use in going on."""


def disk_refuses(error: BaseException) -> bool:
    """Whether an exception, or one that led to it, says that the disk is full, over quota or read-only."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UnwritableStoreError) or (isinstance(seen, OSError) and seen.errno in _UNWRITABLE):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


class RunStore:
    """A folder of records; a record's folder is called by its spec's digest.

    Args:
        folder: made when the first record is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, spec: RunSpec) -> Path:
        """Where a spec's record is, or will be."""
        return self.folder / spec.digest

    def __contains__(self, spec: RunSpec) -> bool:
        # Once more in the end: it may have been unpacked since the look. And NFS may show what is not yet known to be
        # there only when the folder has been listed, as it is for archives.
        return self.has_folder(spec) or any(spec.digest in of for of in self._archived()) or self.has_folder(spec)

    def has_folder(self, spec: RunSpec) -> bool:
        """Whether a spec has a record in a folder of its own, where a run leaves it; it may be packed later."""
        return (self.path(spec) / RECORD).is_file()

    def digests(self) -> set[str]:
        """Digests of all finished runs."""
        found = self.folders().union(*self._archived())
        return found | self._with_record(self._places() - found)  # these have been unpacked meanwhile

    def folders(self) -> set[str]:
        """Digests of the runs whose record has a folder of its own."""
        return self._with_record(self._places())

    def _with_record(self, names: Iterable[str]) -> set[str]:
        return {name for name in names if (self.folder / name / RECORD).is_file()}

    def _places(self) -> set[str]:
        if not self.folder.is_dir():
            return set()
        with os.scandir(self.folder) as entries:
            return {entry.name for entry in entries if _DIGEST.fullmatch(entry.name)}

    def archives(self) -> list[Path]:
        """The files into which records are packed; they are read like folders."""
        if not self.folder.is_dir():
            return []
        with os.scandir(self.folder) as entries:  # among thousands of folders, several times as fast as a glob
            names = [entry.name for entry in entries if entry.name.endswith(ENDING) and entry.name[0] != "."]
        return [self.folder / name for name in sorted(names)]

    def _archived(self) -> Iterator[Contents]:
        """What is in the archives."""
        for path in self.archives():
            try:
                yield read_archive(path)
            except UserError:
                if path.exists():
                    raise
                # It has been unpacked since the look.

    def file(self, digest: str, name: str) -> bytes | None:
        """A file of a record, from its folder or else from an archive; None if there is none.

        Raises:
            UserError: an archive cannot be read.
            OSError: the file cannot be read.
        """
        folder = self.folder / digest
        for _ in range(2):  # it may be unpacked after the look at its folder
            if (folder / RECORD).is_file():
                with suppress(FileNotFoundError):
                    return (folder / name).read_bytes()
                if (folder / RECORD).is_file():
                    return None
                # It has been packed since the look.
            for contents in self._archived():
                if digest in contents:
                    return contents[digest].get(name)
        return None

    def require_writable(self) -> None:
        """Makes the folder, and refuses one in which no record could be left, before the work that would be lost.

        Raises:
            UnwritableStoreError: it cannot be made, or takes no file.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise self.unwritable(error) from error

    def save(self, record: RunRecord) -> Path:
        """Writes a record and returns its folder.

        Raises:
            UnwritableStoreError: the store cannot be written; nothing is left behind.
        """
        return self.place(record.spec.digest, lambda folder: _write(record, folder))

    def place(self, digest: str, write: Callable[[Path], None]) -> Path:
        """Has a record's files written into a folder beside its place, makes them durable and renames it into place.

        Args:
            digest: of the record's spec.
            write: fills an empty folder with the files, of which `RECORD` is one.

        Raises:
            UnwritableStoreError: the store cannot be written; nothing is left behind.
            UserError: a folder without a record stands in its place.
        """
        target = self.folder / digest
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=UNFINISHED) as name:
                Path(name).chmod(0o755)  # a temporary folder is private
                write(Path(name))
                for path in [*Path(name).iterdir(), Path(name)]:
                    sync(path)
                try:
                    os.rename(name, target)
                except OSError as error:
                    if not target.is_dir():
                        raise
                    if not (target / RECORD).is_file():
                        raise UserError(
                            f"{target}: a folder without {RECORD} in a record's place; remove it"
                        ) from error
                else:
                    os.mkdir(name)  # for the context manager to remove
            sync(self.folder)
        except OSError as error:
            raise self.unwritable(error) from error
        return target

    def unwritable(self, error: OSError) -> UnwritableStoreError:
        """What to raise where the store could not be written."""
        return UnwritableStoreError(f"cannot write to the store {self.folder}: {error.strerror or error}")

    def read(self, digest: str) -> dict[str, Any]:
        """What a record's `record.json` says: all but predictions, losses and adaptation.

        Raises:
            UserError: there is none, it cannot be read, or it is of another version.
        """
        folder = self.folder / digest
        try:
            content = self.file(digest, RECORD)
            if content is None:
                raise UserError(f"the store {self.folder} has no record {digest}")
            values = json.loads(content)
            if values["version"] != SCHEMA_VERSION:
                raise UserError(f"{folder}: schema version {values['version']}, expected {SCHEMA_VERSION}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unreadable(folder, error) from error
        return dict(values)

    def spec(self, digest: str) -> RunSpec:
        """What was run, without reading what it found.

        Raises:
            UserError: there is no such record, or it cannot be read.
        """
        values = self.read(digest)
        try:
            return RunSpec.from_json(values["spec"])
        except (ValueError, KeyError, TypeError) as error:
            raise unreadable(self.folder / digest, error) from error

    def load(self, run: RunSpec | str) -> RunRecord:
        """The record of a spec or of a digest.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        digest = run if isinstance(run, str) else run.digest
        folder = self.folder / digest
        values = self.read(digest)
        try:
            return RunRecord(
                spec=RunSpec.from_json(values["spec"]),
                accuracy=values["accuracy"],
                predictions=self._frame(digest, PREDICTIONS),
                losses=self._frame(digest, LOSSES),
                costs=Costs(**values["costs"]),
                environment=values["environment"],
                adaptation=self.file(digest, ADAPTATION),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unreadable(folder, error) from error

    def _frame(self, digest: str, name: str) -> "pd.DataFrame":
        import pyarrow.parquet as parquet

        content = self.file(digest, name)
        if content is None:
            raise FileNotFoundError(f"{name} is missing")
        # For a table of this size, twice as fast as pandas' own way.
        table: pd.DataFrame = parquet.ParquetFile(io.BytesIO(content)).read(use_threads=False).to_pandas()
        return table

    def abandoned(self) -> Iterator[Path]:
        """What processes left behind that were killed; what is younger than an hour may still be at work."""
        for path in [*self.folder.glob(f"{UNFINISHED}*"), *self._remains()]:
            try:
                age = time.time() - path.stat().st_mtime
            except FileNotFoundError:  # its writer has just finished
                continue
            if age > _ABANDONED_SECONDS:
                yield path

    def _remains(self) -> list[Path]:
        """Folders in the place of a record that hold none."""
        with_record = self.folders()
        return [self.folder / name for name in sorted(self._places()) if name not in with_record]

    def clean(self) -> None:
        """Removes what killed processes left behind."""
        for path in self.abandoned():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def records(self) -> Iterator[RunRecord]:
        """Every record, by digest."""
        for digest in sorted(self.digests()):
            yield self.load(digest)


def _write(record: RunRecord, folder: Path) -> None:
    compact = {"template": "int16", "example": "int32", "gold": "int16", "predicted": "int16"}
    record.predictions.astype(compact).to_parquet(folder / PREDICTIONS, compression="zstd", index=False)
    record.losses.to_parquet(folder / LOSSES, compression="zstd", index=False)
    if record.adaptation is not None:
        (folder / ADAPTATION).write_bytes(record.adaptation)
    values = {
        "version": record.version,
        "digest": record.spec.digest,
        "spec": dataclasses.asdict(record.spec),
        "accuracy": record.accuracy,
        "costs": dataclasses.asdict(record.costs),
        "environment": record.environment,
        "files": {path.name: content_digest(path.read_bytes()) for path in sorted(folder.iterdir())},
    }
    (folder / RECORD).write_bytes(record_json(values))


def record_json(values: dict[str, Any]) -> bytes:
    """What a record's `record.json` consists of."""
    return (json.dumps(values, indent=1) + "\n").encode()


def content_digest(content: bytes) -> str:
    """SHA-256 of a file, as a record keeps it of the files beside it."""
    return hashlib.sha256(content).hexdigest()


def unreadable(folder: Path, error: Exception) -> UserError:
    """What to raise where a record cannot be read."""
    how = "remove the folder" if folder.is_dir() else "`tfew store unpack` its archive and remove its folder"
    return UserError(f"{folder}: not a readable record ({error}); {how} to run it again")
