"""RunStore: records on disk, one folder a run.

A record is written beside its place and renamed into it, so that what stands there is complete. Several
processes may write: the first to finish a run wins, the others' copies are dropped.
"""

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tfew_pl.errors import UserError
from tfew_pl.record import SCHEMA_VERSION, Costs, RunRecord
from tfew_pl.spec import RunSpec

RECORD = "record.json"
PREDICTIONS = "predictions.parquet"
LOSSES = "losses.parquet"
ADAPTATION = "adaptation.safetensors"
_UNFINISHED = ".unfinished-"
_ABANDONED_SECONDS = 3600


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
        return (self.path(spec) / RECORD).is_file()

    def digests(self) -> set[str]:
        """Digests of all finished runs."""
        if not self.folder.is_dir():
            return set()
        return {path.parent.name for path in self.folder.glob(f"[!.]*/{RECORD}")}

    def save(self, record: RunRecord) -> Path:
        """Writes a record and returns its folder.

        Raises:
            UserError: the store cannot be written; nothing is left behind.
        """
        target = self.path(record.spec)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=_UNFINISHED) as name:
                _write(record, Path(name))
                try:
                    os.rename(name, target)
                except OSError:
                    if not (target / RECORD).is_file():
                        raise
                else:
                    os.mkdir(name)  # for the context manager to remove
        except OSError as error:
            raise UserError(f"cannot write to the store {self.folder}: {error.strerror or error}") from error
        return target

    def load(self, run: RunSpec | str) -> RunRecord:
        """The record of a spec or of a digest.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        import pandas as pd

        digest = run if isinstance(run, str) else run.digest
        folder = self.folder / digest
        if not (folder / RECORD).is_file():
            raise UserError(f"the store {self.folder} has no record {digest}")
        try:
            values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            if values["version"] != SCHEMA_VERSION:
                raise UserError(f"{folder}: schema version {values['version']}, expected {SCHEMA_VERSION}")
            adaptation = folder / ADAPTATION
            return RunRecord(
                spec=RunSpec.from_json(values["spec"]),
                accuracy=values["accuracy"],
                predictions=pd.read_parquet(folder / PREDICTIONS),
                losses=pd.read_parquet(folder / LOSSES),
                costs=Costs(**values["costs"]),
                environment=values["environment"],
                adaptation=adaptation.read_bytes() if adaptation.is_file() else None,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder}: not a readable record ({error}); remove the folder to run it again") from error

    def clean(self) -> None:
        """Removes what writers that were killed left behind; what is younger than an hour may still be written."""
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)

    def records(self) -> Iterator[RunRecord]:
        """Every record, by digest."""
        for digest in sorted(self.digests()):
            yield self.load(digest)


def _write(record: RunRecord, folder: Path) -> None:
    folder.chmod(0o755)  # a temporary folder is private
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
    }
    (folder / RECORD).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
