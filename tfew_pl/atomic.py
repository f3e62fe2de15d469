"""Files and folders that appear complete or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfew_pl.errors import UserError

UNFINISHED = ".unfinished-"
"""How the names of files and folders begin that are being written."""


def sync(path: Path) -> None:
    """Waits until the disk has it, a file or a folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_target(path: Path, what: str) -> None:
    """Refuses a place where nothing can be written, before the work that would be lost.

    Args:
        path: of the file or folder to come; its parent has to be there.
        what: names it in the message, such as the option that gave it.

    Raises:
        UserError: the parent is no folder, or not writable.
    """
    parent = path.absolute().parent
    if not parent.is_dir():
        raise UserError(f"{what} {path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"{what} {path}: the folder {parent} cannot be written to")


def _cannot(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {error.strerror or error}; nothing was left behind")


@contextmanager
def new_file(path: Path, beside: Path | None = None) -> Iterator[Path]:
    """A path to write to; it is renamed into place at the end, or removed after an error.

    Args:
        path: the file to come, or to be replaced.
        beside: what it is written beside, on the same disk; the file itself if left out.

    Raises:
        UserError: the file system refuses, a full disk included.
    """
    partial = None
    try:
        descriptor, name = tempfile.mkstemp(dir=(beside or path).absolute().parent, prefix=UNFINISHED)
        partial = Path(name)
        os.close(descriptor)
        partial.chmod(0o644)
        yield partial
        sync(partial)
        os.replace(partial, path)
        sync(path.absolute().parent)
    except OSError as error:
        raise _cannot(path, error) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder beside the given path to write into; it is renamed into place at the end, or removed after an error.

    Args:
        path: the folder to come.
        overwrite: replace what is there.

    Raises:
        UserError: something is there, or the file system refuses, a full disk included.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=UNFINISHED) as name:
            folder = Path(name, "new")
            folder.mkdir(mode=0o755)
            yield folder
            for file in folder.iterdir():
                file.chmod(0o644)
                sync(file)
            old = Path(name, "old")
            try:
                if overwrite and path.exists():
                    os.replace(path, old)
                os.rename(folder, path)
            except BaseException:  # an interruption, too, leaves one of the two
                if old.exists() and not path.exists():
                    os.replace(old, path)
                raise
            sync(path.absolute().parent)
    except OSError as error:
        raise _cannot(path, error) from error
