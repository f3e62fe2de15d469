"""Records moved into archives and back, and amended: whole at every moment."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from tfew_pl import store_archives
from tfew_pl.archive import ENDING, read_archive
from tfew_pl.errors import UserError
from tfew_pl.leases import Leases
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import ADAPTATION, LEASES, LOSSES, PREDICTIONS, RECORD, RunStore
from tfew_pl.store_archives import amend, pack, unpack

Made = Callable[..., RunRecord]
FILES = (RECORD, PREDICTIONS, LOSSES, ADAPTATION)
RTE, CB, COPA = RunSpec("rte"), RunSpec("cb"), RunSpec("copa")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "store")


def entries(store: RunStore) -> list[str]:
    """What is in the store's folder, beside its empty one for leases."""
    assert list((store.folder / LEASES).glob("*")) == []
    return sorted(path.name for path in store.folder.iterdir() if path.name != LEASES)


def test_packed_records_are_read_as_before(store: RunStore, made: Made) -> None:
    specs = [RunSpec("rte"), RunSpec("cb"), RunSpec("copa")]
    for spec in specs:
        store.save(made(spec, adaptation=None if spec.task == "cb" else b"vectors"))
    before = {spec.task: store.load(spec) for spec in specs}
    files = {path.name: path.read_bytes() for path in store.path(specs[0]).iterdir()}
    (path,) = pack(store, "table4", [spec.digest for spec in specs[:2]])
    assert entries(store) == sorted([specs[2].digest, path.name])
    assert store.digests() == {spec.digest for spec in specs}
    assert store.folders() == {specs[2].digest}
    for spec in specs:
        assert spec in store
        loaded = store.load(spec)
        assert loaded.spec == before[spec.task].spec
        assert loaded.adaptation == before[spec.task].adaptation
        assert loaded.accuracy == before[spec.task].accuracy
        pd.testing.assert_frame_equal(loaded.predictions, before[spec.task].predictions)
        pd.testing.assert_frame_equal(loaded.losses, before[spec.task].losses)
    assert {name: store.file(specs[0].digest, name) for name in files} == files
    assert RunSpec("wic") not in store
    assert store.file("0" * 16, "record.json") is None


def test_packing_adds_to_what_is_packed(store: RunStore, made: Made) -> None:
    first, second = RunSpec("rte"), RunSpec("cb")
    store.save(made(first))
    pack(store, "table4", [first.digest])
    store.save(made(second))
    assert pack(store, "table4", [first.digest, second.digest]) == [store.folder / f"table4{ENDING}"]
    assert store.folders() == set()
    assert store.digests() == {first.digest, second.digest}
    assert pack(store, "table4", [first.digest, second.digest, "0" * 16]) == []


def test_packing_that_fails_keeps_the_folders(store: RunStore, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RunSpec("rte")
    store.save(made(spec))

    def refuse(path: Path, contents: Any) -> NoReturn:
        raise UserError("cannot write the archive")

    monkeypatch.setattr("tfew_pl.store_archives.write_archive", refuse)
    with pytest.raises(UserError, match="cannot write the archive"):
        pack(store, "table4", [spec.digest])
    assert store.load(spec).spec == spec


@pytest.mark.parametrize("packed", [False, True])
def test_amending_replaces_what_a_record_says_and_nothing_else(store: RunStore, made: Made, packed: bool) -> None:
    specs = [RunSpec("rte"), RunSpec("cb")]
    for spec in specs:
        store.save(made(spec))
    if packed:
        pack(store, "both", [spec.digest for spec in specs])
    before = {spec.digest: {name: store.file(spec.digest, name) for name in FILES} for spec in specs}
    there = entries(store)
    changed, kept = (spec.digest for spec in specs)
    values = store.read(changed)
    amend(store, {changed: {"costs": {"measured_inference_flops": 4.0}}})
    assert entries(store) == there
    assert store.load(changed).costs.measured_inference_flops == 4.0
    assert {name: store.file(kept, name) for name in FILES} == before[kept]
    assert {name: store.file(changed, name) for name in FILES if name != RECORD} == {
        name: content for name, content in before[changed].items() if name != RECORD
    }
    amend(store, {changed: {"costs": {"measured_inference_flops": values["costs"]["measured_inference_flops"]}}})
    assert {name: store.file(changed, name) for name in FILES} == before[changed]
    amend(store, {changed: {"environment": {"recounted": "now"}}})
    assert store.read(changed) == values | {"environment": values["environment"] | {"recounted": "now"}}


@pytest.mark.parametrize("packed", [False, True])
def test_amending_what_cannot_be_read_is_one_message(store: RunStore, made: Made, packed: bool) -> None:
    store.save(made(RTE))
    if packed:
        pack(store, "some", [RTE.digest])
    with pytest.raises(UserError, match="not a readable record"):
        amend(store, {RTE.digest: {"no such field": {}}})
    assert "no such field" not in store.read(RTE.digest)


def test_a_copy_that_is_not_read_keeps_what_it_says_itself(store: RunStore, made: Made) -> None:
    """Git gives an archive back whose records have been unpacked and made anew."""
    store.save(made(RTE, accuracy=0.25))
    (path,) = pack(store, "old", [RTE.digest])
    kept = path.read_bytes()
    unpack(store, "old")
    shutil.rmtree(store.path(RTE))
    store.save(made(RTE, accuracy=0.75))
    path.write_bytes(kept)
    amend(store, {RTE.digest: {"costs": {"measured_inference_flops": 4.0}}})
    assert store.read(RTE.digest)["accuracy"]["a"] == 0.75
    archived = json.loads(read_archive(path)[RTE.digest][RECORD])
    assert (archived["accuracy"]["a"], archived["costs"]["measured_inference_flops"]) == (0.25, 4.0)

    assert pack(store, "new", [RTE.digest]) == [path], "the folder's takes the place of the copy"
    assert store.read(RTE.digest)["accuracy"]["a"] == 0.75
    assert entries(store) == [path.name]


@pytest.mark.parametrize("name", [RECORD, LOSSES, ADAPTATION])
def test_a_folder_that_is_not_whole_replaces_nothing(store: RunStore, made: Made, name: str) -> None:
    store.save(made(RTE))
    (path,) = pack(store, "some", [RTE.digest])
    kept = path.read_bytes()
    unpack(store, "some")
    path.write_bytes(kept)
    if name == RECORD:
        (store.path(RTE) / LOSSES).write_bytes(b"other losses")
    else:
        (store.path(RTE) / name).unlink()
    for act in (lambda: pack(store, "some", [RTE.digest]), lambda: unpack(store, "some")):
        with pytest.raises(UserError, match=rf"{RTE.digest}: not a readable record .* remove the folder"):
            act()
        assert path.read_bytes() == kept


def test_a_record_that_does_not_name_its_files_is_not_packed(store: RunStore, made: Made) -> None:
    path = store.save(made(RTE)) / RECORD
    values = json.loads(path.read_text())
    del values["files"]
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="does not say which files belong to it"):
        pack(store, "some", [RTE.digest])
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(FILES)


def test_what_a_killed_writer_left_in_a_folder_is_not_packed(store: RunStore, made: Made) -> None:
    (store.save(made(RTE)) / ".unfinished-record").write_text("{")
    (path,) = pack(store, "some", [RTE.digest])
    assert sorted(read_archive(path)[RTE.digest]) == sorted(FILES)


@pytest.mark.parametrize("after", range(4))
def test_a_process_killed_while_it_packs_leaves_every_record_whole(
    store: RunStore, made: Made, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """It is killed after some of the removals of single files and folders."""
    before = {}
    for spec in (RTE, CB):
        store.save(made(spec))
        before[spec.digest] = {name: store.file(spec.digest, name) for name in FILES}

    class Killed(BaseException):
        pass

    left = after

    def step(act: Any) -> Any:
        def counted(*arguments: Any, **keywords: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return act(*arguments, **keywords)

        return counted

    def remove_one_file(folder: Path, ignore_errors: bool = False) -> None:
        next(path for path in folder.iterdir() if path.name != RECORD).unlink()
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", step(Path.rename))
        patched.setattr(store_archives.shutil, "rmtree", remove_one_file if after == 3 else step(shutil.rmtree))
        with pytest.raises(Killed):
            pack(store, "some", [RTE.digest, CB.digest])
    assert store.digests() == before.keys()
    for digest, files in before.items():
        assert {name: store.file(digest, name) for name in FILES} == files
    pack(store, "some", [RTE.digest, CB.digest])
    unpack(store, "some")
    for digest, files in before.items():
        assert {name: store.file(digest, name) for name in FILES} == files
    for path in store.folder.glob(".unfinished-*"):
        os.utime(path, (0, 0))
    store.clean()
    assert entries(store) == sorted(before)


def test_one_process_at_a_time(store: RunStore, made: Made) -> None:
    store.save(made(RTE))
    with Leases(store.folder / LEASES) as other:
        assert other.take(["archives"])
        for act in (
            lambda: pack(store, "some", [RTE.digest]),
            lambda: unpack(store, "some"),
            lambda: amend(store, {RTE.digest: {"costs": {}}}),
        ):
            with pytest.raises(UserError, match=r"another process is packing, unpacking or recounting its records"):
                act()
    assert len(pack(store, "some", [RTE.digest])) == 1


def test_a_record_that_is_packed_while_it_is_read_is_read_from_there(
    store: RunStore, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(made(RTE))
    content, read = store.file(RTE.digest, LOSSES), Path.read_bytes

    def late(path: Path) -> bytes:
        monkeypatch.setattr(Path, "read_bytes", read)
        pack(store, "some", [RTE.digest])
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", late)
    assert store.file(RTE.digest, LOSSES) == content
    assert store.file(RTE.digest, "no such file") is None


@pytest.mark.parametrize("listed", [True, False], ids=["before the listing", "behind it"])
def test_a_record_that_is_unpacked_while_it_is_looked_for_is_there(
    store: RunStore, made: Made, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    store.save(made(RTE))
    content = store.file(RTE.digest, LOSSES)

    def late(of: RunStore) -> list[Path]:
        """Lists the archives, and unpacks before or after."""
        monkeypatch.setattr(RunStore, "archives", archives)
        before = archives(of)
        unpack(store, "some")
        return before if listed else archives(of)

    archives = RunStore.archives
    looks: list[Callable[[], object]] = [
        lambda: RTE in store,
        lambda: store.digests() == {RTE.digest},
        lambda: store.file(RTE.digest, LOSSES) == content,
    ]
    for look in looks:
        pack(store, "some", [RTE.digest])
        monkeypatch.setattr(RunStore, "archives", late)
        assert look()
        assert RunStore.archives is archives


def test_a_record_that_a_network_shows_late_is_there(
    store: RunStore, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS: what was not there a moment ago stays so until its folder is listed."""
    store.save(made(RTE))
    is_file, fresh = Path.is_file, False

    def listed(of: RunStore) -> list[Path]:
        nonlocal fresh
        fresh = True
        return archives(of)

    archives = RunStore.archives
    monkeypatch.setattr(RunStore, "archives", listed)
    monkeypatch.setattr(Path, "is_file", lambda path: fresh and is_file(path))
    assert RTE in store


def test_a_store_that_is_read_only_is_one_message(store: RunStore, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(made(RTE))

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"cannot write to the store .*: Read-only file system"):
        pack(store, "some", [RTE.digest])
