import dataclasses
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from tfew_pl.errors import UserError
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import ADAPTATION, LOSSES, PREDICTIONS, RECORD, RunStore, UnwritableStoreError

Made = Callable[..., RunRecord]
FILES = (RECORD, PREDICTIONS, LOSSES, ADAPTATION)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "store")


def _entries(store: RunStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir()) if store.folder.is_dir() else []


@pytest.mark.parametrize("adaptation", [b"vectors", None])
def test_round_trip(store: RunStore, made: Made, adaptation: bytes | None) -> None:
    record = made(RunSpec("rte", options={"a": 1}), adaptation=adaptation)
    folder = store.save(record)
    assert folder == store.path(record.spec)
    for key in (record.spec, record.spec.digest):
        loaded = store.load(key)
        for field in dataclasses.fields(RunRecord):
            if field.name not in ("predictions", "losses"):
                assert getattr(loaded, field.name) == getattr(record, field.name), field.name
        pd.testing.assert_frame_equal(loaded.predictions, record.predictions, check_dtype=False)
        pd.testing.assert_frame_equal(loaded.losses, record.losses)
        assert list(loaded.predictions["example"]) == [0, 70_000, 0]


def test_contains_digests_and_records(store: RunStore, made: Made) -> None:
    specs = [RunSpec("rte"), RunSpec("cb")]
    assert store.digests() == set()
    assert list(store.records()) == []
    for spec in specs:
        assert spec not in store
        store.save(made(spec))
        assert spec in store
    assert store.digests() == {spec.digest for spec in specs}
    assert [record.spec.digest for record in store.records()] == sorted(spec.digest for spec in specs)
    assert _entries(store) == sorted(spec.digest for spec in specs)


def test_first_writer_wins(store: RunStore, made: Made) -> None:
    spec = RunSpec("rte")
    assert store.save(made(spec, 0.25)) == store.save(made(spec, 0.75))
    assert store.load(spec).accuracy["a"] == 0.25
    assert _entries(store) == [spec.digest], "nothing of the second is left"


def test_folder_is_readable_by_others(store: RunStore, made: Made) -> None:
    folder = store.save(made(RunSpec("rte")))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.parametrize("where", ["tfew_pl.store.os.rename", "tfew_pl.store.os.fsync"])
def test_full_disk_is_one_message_and_leaves_nothing(
    store: RunStore, made: Made, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        with pytest.raises(UserError, match=r"cannot write to the store .*: No space left on device"):
            store.save(made(RunSpec("rte")))
    assert store.digests() == set()
    assert _entries(store) == []
    store.save(made(RunSpec("rte")))
    assert RunSpec("rte") in store


def test_crash_while_writing_leaves_nothing_readable(
    store: RunStore, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tfew_pl.store.json.dumps", crash)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # a process that is killed cleans nothing up
        with pytest.raises(KeyboardInterrupt):
            store.save(made(RunSpec("rte"), 0.1))
    assert store.digests() == set()
    assert list(store.records()) == []
    store.save(made(RunSpec("rte"), 0.2))
    assert store.load(RunSpec("rte")).accuracy["a"] == 0.2


def test_folder_without_a_record_is_not_listed(store: RunStore) -> None:
    (store.folder / "0123456789abcdef").mkdir(parents=True)
    (store.folder / ".unfinished-x").mkdir()
    (store.folder / ".unfinished-x" / "record.json").write_text("{}")
    assert store.digests() == set()


def test_missingmade(store: RunStore, made: Made) -> None:
    with pytest.raises(UserError, match="has no record 0123"):
        store.load("0123")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("record.json", "{"),
        ("record.json", "[]"),
        ("record.json", '{"version": 1}'),
        ("record.json", "\udcff"),
        ("predictions.parquet", "PAR1"),
        ("losses.parquet", ""),
        ("losses.parquet", None),
    ],
)
def test_unreadablemade(store: RunStore, made: Made, file: str, content: str | None) -> None:
    folder = store.save(made(RunSpec("rte")))
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UserError, match="not a readable record") as caught:
        store.load(RunSpec("rte"))
    assert str(folder) in str(caught.value)


def _edit(store: RunStore, record: RunRecord, **values: Any) -> RunSpec:
    path = store.save(record) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return record.spec


def test_record_of_another_version(store: RunStore, made: Made) -> None:
    with pytest.raises(UserError, match="schema version 99, expected 1"):
        store.load(_edit(store, made(RunSpec("rte")), version=99))


def test_record_with_fields_of_a_later_version(store: RunStore, made: Made) -> None:
    with pytest.raises(UserError, match="not a readable record"):
        store.load(_edit(store, made(RunSpec("rte")), costs={"euros": 3}))


def test_store_that_cannot_be_written(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="cannot write to the store"):
        RunStore(file / "store").save(made(RunSpec("rte")))


def test_read_only_store(store: RunStore, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    store.folder.mkdir()
    monkeypatch.setattr("tfew_pl.store.tempfile.TemporaryDirectory", refused)
    with pytest.raises(UserError, match=r"cannot write to the store .*: Permission denied"):
        store.save(made(RunSpec("rte")))


def test_a_store_that_takes_no_file_is_refused_before_anything_runs(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.require_writable()
    assert list(store.folder.iterdir()) == []

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    with pytest.raises(UnwritableStoreError, match=r"^cannot write to the store .*: Permission denied$"):
        store.require_writable()


def test_saving_over_the_remains_of_a_folder_is_not_silent(store: RunStore, made: Made) -> None:
    """A folder without a record stands where the record belongs."""
    spec = RunSpec("rte")
    store.path(spec).mkdir(parents=True)
    (store.path(spec) / "losses.parquet").write_text("")
    with pytest.raises(UserError, match=rf"{spec.digest}: a folder without record.json in a record's place") as caught:
        store.save(made(spec))
    assert not isinstance(caught.value, UnwritableStoreError), "other runs can be saved"
    assert spec not in store
    assert _entries(store) == [spec.digest]
    assert list(store.abandoned()) == [], "somebody may be copying it"
    os.utime(store.path(spec), (0, 0))
    store.clean()
    store.save(made(spec))
    assert store.load(spec).spec == spec


def test_clean_removes_what_was_abandoned_and_nothing_else(store: RunStore, made: Made) -> None:
    path = store.save(made(RunSpec("rte")))
    old, young = store.folder / ".unfinished-old", store.folder / ".unfinished-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "record.json").write_text("{}")
    file = store.folder / ".unfinished-file"
    file.write_text("{}")
    for one in (old, file):
        os.utime(one, (0, 0))
    store.clean()
    assert not old.exists()
    assert not file.exists()
    assert young.is_dir()
    assert path.is_dir()


def test_a_writer_may_finish_while_its_remains_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-x").symlink_to(tmp_path / "renamed into its place")
    assert list(RunStore(tmp_path).abandoned()) == []


def test_a_spec_of_fields_that_are_not_known_is_one_message(store: RunStore, made: Made) -> None:
    spec = RunSpec("rte")
    path = store.save(made(spec)) / "record.json"
    assert store.spec(spec.digest) == spec
    values = json.loads(path.read_text())
    values["spec"]["unheard_of"] = 1
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="not a readable record"):
        store.spec(spec.digest)
