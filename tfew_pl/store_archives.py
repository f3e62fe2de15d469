"""A store's records moved into archives and back, and amended where they are, by one process at a time.

At every moment a record is whole in one place at least: a process that is killed leaves it twice, never half.
"""

import json
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tfew_pl.archive import ENDING, read_archive, write_archive
from tfew_pl.atomic import UNFINISHED, new_file
from tfew_pl.errors import UserError
from tfew_pl.leases import Leases
from tfew_pl.store import LEASES, RECORD, RunStore, content_digest, record_json, unreadable

Changes = Mapping[str, Mapping[str, Any]]
"""Of a record: by field of `record.json`, what of it is replaced or added."""
_LEASE = "archives"


def pack(store: RunStore, name: str, digests: Collection[str]) -> list[Path]:
    """Moves records from folders of their own into an archive, beside what is in it.

    Args:
        store: of the records.
        name: of the archive. A record of which some archive has a copy takes that copy's place.
        digests: of the records; what has no folder of its own stays where it is.

    Returns:
        The archives that were written.

    Raises:
        UserError: a record or an archive cannot be read, an archive cannot be written, or others are at work on them;
            the folders are kept.
    """
    with _alone(store):
        moved = {digest: _whole(store, digest) for digest in sorted(store.folders() & set(digests))}
        archives = {path: read_archive(path) for path in store.archives()}
        packed: set[str] = set().union(*archives.values())
        written = {path: {digest: moved[digest] for digest in moved if digest in archives[path]} for path in archives}
        target = store.folder / f"{name}{ENDING}"
        written[target] = written.get(target, {}) | {digest: moved[digest] for digest in moved if digest not in packed}
        written = {path: records for path, records in written.items() if records}
        for path, records in written.items():
            write_archive(path, {**archives.get(path, {}), **records})
        for digest in moved:
            _remove(store.folder / digest)
        return list(written)


def unpack(store: RunStore, name: str) -> int:
    """Moves the records of an archive into folders of their own, and removes it: the inverse of `pack`.

    Args:
        store: of the records.
        name: of the archive.

    Returns:
        How many records were in it; one that has a folder already stays as it is there, where it is read.

    Raises:
        UserError: there is no such archive, it or a folder cannot be read, the store cannot be written, or others are
            at work on its archives; the archive is kept.
    """
    with _alone(store):
        path = store.folder / f"{name}{ENDING}"
        if not path.is_file():
            there = ", ".join(one.name.removesuffix(ENDING) for one in store.archives()) or "none"
            raise UserError(f"the store {store.folder} has no archive {name}; it has: {there}")
        contents = read_archive(path)
        folders = store.folders()
        for digest in sorted(contents):
            if digest in folders:
                _whole(store, digest)
            else:
                store.place(digest, partial(_write, contents[digest]))
        path.unlink()
        return len(contents)


def amend(store: RunStore, changes: Mapping[str, Changes]) -> None:
    """Changes what records say in their `record.json`, wherever they are; the files beside it stay.

    Args:
        store: of the records.
        changes: by digest.

    Raises:
        UserError: a record or an archive cannot be read, the store cannot be written, or others are at work on its
            archives; each record is as it was, or changed.
    """
    if not changes:
        return
    with _alone(store):
        for digest in sorted(store.folders() & changes.keys()):
            path = store.folder / digest / RECORD
            content = _changed(path.parent, path.read_bytes(), changes[digest])
            with new_file(path, beside=path.parent) as unfinished:
                unfinished.write_bytes(content)
        for archive in store.archives():
            there = read_archive(archive)
            changed = {
                digest: {**there[digest], RECORD: _changed(archive, there[digest][RECORD], changes[digest])}
                for digest in there.keys() & changes.keys()
            }
            if changed:
                write_archive(archive, {**there, **changed})


@contextmanager
def _alone(store: RunStore) -> Iterator[None]:
    """While no other process moves or amends the store's records; whoever reads an archive to write it again does so
    within.
    """
    try:
        with Leases(store.folder / LEASES) as leases:
            if not leases.take([_LEASE]):
                raise UserError(
                    f"the store {store.folder}: another process is packing, unpacking or recounting its records; "
                    f"try again when it has ended"
                )
            yield
    except OSError as error:
        raise store.unwritable(error) from error


def _whole(store: RunStore, digest: str) -> dict[str, bytes]:
    """The files of a record in a folder, which are those that it was written with."""
    folder = store.folder / digest
    try:
        known = store.read(digest)["files"]
        files = {name: (folder / name).read_bytes() for name in (RECORD, *known)}
    except (KeyError, TypeError) as error:  # what else lies in the folder would be lost
        raise unreadable(folder, ValueError(f"{RECORD} does not say which files belong to it")) from error
    except FileNotFoundError as error:
        raise unreadable(folder, FileNotFoundError(f"{Path(error.filename).name} is missing")) from error
    changed = [name for name in known if content_digest(files[name]) != known[name]]
    if changed:
        raise unreadable(folder, ValueError(f"{', '.join(changed)} changed since it was written"))
    return files


def _changed(place: Path, content: bytes, changes: Changes) -> bytes:
    try:
        values = json.loads(content)
        return record_json(values | {field: values[field] | change for field, change in changes.items()})
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable(place, error) from error


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _remove(folder: Path) -> None:
    """Removes a record's folder: at no time does a part of it stand in its place."""
    aside = folder.with_name(f"{UNFINISHED}{uuid.uuid4().hex}")
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
