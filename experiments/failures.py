"""Why runs failed, kept beside the records until they succeed."""

import dataclasses
import json
import os
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfew_pl.store import FAILURES


@dataclass(frozen=True)
class Failure:
    """Why a run has no record."""

    label: str
    """The run, for a person."""
    reason: str
    """One line."""
    log: str
    """What it wrote, its traceback included."""
    seconds: float
    host: str = dataclasses.field(default_factory=socket.gethostname)


class Failures:
    """A file for every run that failed last time.

    Args:
        store: the records' folder.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / FAILURES

    def note(self, digest: str, failure: Failure) -> None:
        """Keeps a failure, in place of an earlier one of the same run.

        Raises:
            OSError: the store cannot be written.
        """
        self._folder.mkdir(exist_ok=True)
        beside = self._folder / f".{uuid.uuid4().hex}"
        try:
            beside.write_text(json.dumps(dataclasses.asdict(failure), indent=1) + "\n", encoding="utf-8")
            os.replace(beside, self._path(digest))
        finally:
            beside.unlink(missing_ok=True)

    def forget(self, digest: str) -> None:
        """Removes the failure of a run that has since succeeded."""
        self._path(digest).unlink(missing_ok=True)

    def get(self, digest: str, since: float = 0.0) -> Failure | None:
        """The failure of a run; None if it has not failed.

        Args:
            digest: of the run.
            since: seconds on the file system's clock; an earlier failure does not count.
        """
        try:
            if self._path(digest).stat().st_mtime < since:
                return None
            return Failure(**json.loads(self._path(digest).read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError) as error:
            return Failure(digest, f"its failure cannot be read ({error})", str(self._path(digest)), 0.0, "")

    def digests(self) -> Iterator[str]:
        """Of all runs that failed."""
        for path in sorted(self._folder.glob("[!.]*.json")):
            yield path.stem

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"
