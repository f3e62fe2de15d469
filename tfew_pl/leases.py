"""Leases: who is doing which run, so that several processes and machines share a store without doing a run twice.

A lease is a hard link, named after what is leased, to a file of its owner. Making a link is atomic, on NFS too, and
fails where there is one already. All leases of an owner are one file, so that touching it is the heartbeat of all of
them. An owner that died on this machine is known at once by its process; one elsewhere, once its heartbeat has stood
still for some minutes. Ages are differences of times that the file system wrote, so clocks need not agree.
"""

import json
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Self

EXPIRY_SECONDS = 300.0
"""Age of a heartbeat after which an owner on another machine is taken for dead. Above NFS's caching of attributes,
a minute at most."""
_OWNER = ".owner-"
_UNKNOWN = ""
"""In place of when a process started."""


@dataclass(frozen=True)
class Owner:
    """A process that holds leases."""

    host: str
    machine: str
    """Tells apart machines, their boots, and containers that number processes for themselves."""
    process: int
    started: str
    """When the process started, by the machine's own count: a number may be given to a later process."""

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.machine == _machine()

    def lives_here(self) -> bool | None:
        """Whether it still runs; only to be asked of a process of this machine. None if that is not shown."""
        started = _started(self.process)
        return None if started == _UNKNOWN != self.started else started == self.started

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class Leases(AbstractContextManager["Leases"]):
    """The leases of this process in a folder; within the context they are kept alive, after it they are given back.

    Args:
        folder: made if it is not there; shared by all who take leases of the same things.
        expiry: seconds, see `EXPIRY_SECONDS`; the heartbeat is ten times as frequent.
    """

    def __init__(self, folder: Path, expiry: float = EXPIRY_SECONDS) -> None:
        self.folder = folder
        self.started = 0.0
        """When the context was entered, by the file system's clock."""
        self._expiry = expiry
        self._file = folder / f"{_OWNER}{uuid.uuid4().hex}"
        self._number = 0
        """The file's inode."""
        self._held: dict[str, Path] = {}
        self._end = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heartbeat of the leases", daemon=True)

    def __enter__(self) -> Self:
        """Begins the heartbeat.

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_file()
        self.started = self._file.stat().st_mtime
        self._bury()
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Gives everything back."""
        self._end.set()
        if self._heart.is_alive():
            self._heart.join()
        with suppress(OSError):
            self._remove_links()
            self._file.unlink(missing_ok=True)

    def take(self, names: Iterable[str]) -> bool:
        """Takes all of the leases, or none where one is held by somebody alive.

        Whoever takes a lease looks then whether the work is still to be done: it may just have been finished.

        Raises:
            OSError: the folder cannot be written.
        """
        self._touch()
        taken: list[str] = []
        for name in names:
            if not self._take(name):
                self.release(taken)
                return False
            taken.append(name)
        return True

    def release(self, names: Iterable[str]) -> None:
        """Gives leases back."""
        for name in names:
            path = self._held.pop(name, None)
            if path is not None:
                path.unlink(missing_ok=True)

    def _remove_links(self) -> None:
        """Gives back all leases, also one that an interruption kept from being noted when its link had been made."""
        self._touch()  # so that the file's number is nobody else's
        for path in self.folder.glob("[!.]*.*"):
            if self._is_own(path):
                path.unlink(missing_ok=True)
        self._held.clear()

    def _take(self, name: str) -> bool:
        there = _generations(self.folder, name)
        if any(self._is_alive(path) for path in there.values()):
            return False
        path = self.folder / f"{name}.{max(there, default=-1) + 1}"
        try:
            os.link(self._file, path)
        except FileExistsError:
            if not self._is_own(path):  # else the link was made, and the answer got lost on the network
                return False
        # Between the look and the link somebody else may have made another generation of the same lease.
        others = {n: other for n, other in _generations(self.folder, name).items() if other != path}
        if any(self._is_alive(other) for other in others.values()):
            path.unlink(missing_ok=True)
            return False
        for other in others.values():
            other.unlink(missing_ok=True)
        self._held[name] = path
        return True

    def _is_alive(self, lease: Path) -> bool:
        return _is_alive(lease, self._now, self._expiry)

    def _is_own(self, lease: Path) -> bool:
        """Whether it is a link to this owner's file; none that somebody has given back."""
        try:
            return lease.stat().st_ino == self._number
        except FileNotFoundError:
            return False

    def _now(self) -> float:
        """By the clock that also writes the heartbeats of others."""
        self._touch()
        return self._file.stat().st_mtime

    def _beat(self) -> None:
        while not self._end.wait(self._expiry / 10):
            with suppress(OSError):
                self._touch()

    def _touch(self) -> None:
        """A sign of life. Who was paused, or cut off from the folder, for so long that others have buried the file
        makes it again: of a lease that is still held, or anew.
        """
        try:
            os.utime(self._file)
        except FileNotFoundError:
            for lease in filter(self._is_own, list(self._held.values())):
                with suppress(FileNotFoundError, FileExistsError):
                    os.link(lease, self._file)
                    break
            else:
                self._make_file()
            os.utime(self._file)

    def _make_file(self) -> None:
        self._file.write_text(json.dumps(asdict(_this_process())), encoding="utf-8")
        self._number = self._file.stat().st_ino

    def _bury(self) -> None:
        """Removes the files of dead owners; their leases stay, to be taken over."""
        for path in self.folder.glob(f"{_OWNER}*"):
            if path != self._file and not self._is_alive(path):
                path.unlink(missing_ok=True)


def holders(folder: Path) -> dict[str, Owner]:
    """Who holds each lease in a folder.

    Args:
        folder: that of `Leases`; it need not be there.
    """
    found: dict[str, Owner] = {}
    now = partial(_clock, folder)
    for path in sorted(folder.glob("[!.]*.*")):
        with suppress(OSError, ValueError, TypeError):
            owner = Owner(**json.loads(path.read_text(encoding="utf-8")))
            if _is_alive(path, now, EXPIRY_SECONDS):
                found[path.stem] = owner
    return found


def abandoned(folder: Path) -> list[Path]:
    """What owners that are dead left in a folder, their leases and their own files.

    Args:
        folder: that of `Leases`; it need not be there.
    """
    now = partial(_clock, folder)
    return [path for path in sorted(folder.glob("*")) if not _is_alive(path, now, EXPIRY_SECONDS)]


def _is_alive(file: Path, now: Callable[[], float], expiry: float) -> bool:
    """Whether the owner lives whose lease, or own file, this is.

    Args:
        file: of the lease or the owner.
        now: by the clock that writes the times of files there.
        expiry: seconds, see `EXPIRY_SECONDS`.
    """
    owner: Owner | None = None
    try:
        beat = file.stat().st_mtime
        owner = Owner(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return True  # given back a moment ago: to be looked at again, not to be taken over
    except (ValueError, TypeError):
        pass  # cut short by a full disk
    if owner is not None and owner.is_here and (lives := owner.lives_here()) is not None:
        return lives
    return now() - beat < expiry


def _clock(folder: Path) -> float:
    """By the clock of a folder's file system; by this machine's where the folder cannot be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _generations(folder: Path, name: str) -> dict[int, Path]:
    """The files of a lease: more than one only while it is taken over."""
    prefix = f"{name}."
    with os.scandir(folder) as entries:
        return {int(e.name[len(prefix) :]): Path(e.path) for e in entries if e.name.startswith(prefix)}


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(process: int) -> str | None:
    """When a process of this machine started; None if it has ended."""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass  # it is somebody else's
        return _UNKNOWN
    try:
        # The command's name, in parentheses, may hold anything; the state and 19 more fields later the start follow.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return _UNKNOWN if _is_hidden(process) else None
    return None if fields[0] in "ZX" else fields[19]


def _is_hidden(process: int) -> bool:
    """Whether a process that /proc does not show is there: another user's, where it shows each their own."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return False  # it is this user's own, and has just ended or begun


def _this_process() -> Owner:
    return Owner(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()) or _UNKNOWN)
