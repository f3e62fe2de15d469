"""Files and folders that appear complete or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfew_pl.errors import UserError


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
def new_file(path: Path) -> Iterator[Path]:
    """A path beside the given one to write to; it is renamed into place at the end, or removed after an error.

    Raises:
        UserError: the file system refuses, a full disk included.
    """
    partial = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=".unfinished-")
        partial = Path(name)
        os.close(descriptor)
        partial.chmod(0o644)
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, path)
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
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".unfinished-") as name:
            folder = Path(name, "new")
            folder.mkdir(mode=0o755)
            yield folder
            for file in folder.iterdir():
                file.chmod(0o644)
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
            if overwrite and path.exists():
                os.replace(path, Path(name, "old"))
            os.rename(folder, path)
    except OSError as error:
        raise _cannot(path, error) from error
