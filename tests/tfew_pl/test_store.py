import dataclasses
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from tfew_pl.errors import UserError
from tfew_pl.record import Costs, RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import ADAPTATION, LOSSES, PREDICTIONS, RECORD, RunStore, UnwritableStoreError

FILES = (RECORD, PREDICTIONS, LOSSES, ADAPTATION)


def _record(spec: RunSpec, accuracy: float = 0.5, adaptation: bytes | None = b"vectors") -> RunRecord:
    predictions = pd.DataFrame(
        {"template": [0, 0, 1], "example": [0, 70_000, 0], "gold": [0, 1, 2], "predicted": [2, 1, 0]}
    )
    losses = pd.DataFrame({"step": [20, 40], "lm": [1.5, 0.1], "unlikelihood": [float("nan"), 0.2],
                           "length_norm": [0.25, 1 / 3]})  # fmt: skip
    values: dict[str, Any] = dict.fromkeys(Costs.__dataclass_fields__, 3)
    return RunRecord(spec, {"a": accuracy, "b": 1 / 3}, predictions, losses, Costs(**values), {"device": "cpu"},
                     adaptation)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "store")


def _entries(store: RunStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir()) if store.folder.is_dir() else []


@pytest.mark.parametrize("adaptation", [b"vectors", None])
def test_round_trip(store: RunStore, adaptation: bytes | None) -> None:
    record = _record(RunSpec("rte", options={"a": 1}), adaptation=adaptation)
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


def test_contains_digests_and_records(store: RunStore) -> None:
    specs = [RunSpec("rte"), RunSpec("cb")]
    assert store.digests() == set()
    assert list(store.records()) == []
    for spec in specs:
        assert spec not in store
        store.save(_record(spec))
        assert spec in store
    assert store.digests() == {spec.digest for spec in specs}
    assert [record.spec.digest for record in store.records()] == sorted(spec.digest for spec in specs)
    assert _entries(store) == sorted(spec.digest for spec in specs)


def test_first_writer_wins(store: RunStore) -> None:
    spec = RunSpec("rte")
    assert store.save(_record(spec, 0.25)) == store.save(_record(spec, 0.75))
    assert store.load(spec).accuracy["a"] == 0.25
    assert _entries(store) == [spec.digest], "nothing of the second is left"


def test_folder_is_readable_by_others(store: RunStore) -> None:
    folder = store.save(_record(RunSpec("rte")))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.parametrize("where", ["tfew_pl.store.os.rename", "tfew_pl.store.os.fsync"])
def test_full_disk_is_one_message_and_leaves_nothing(
    store: RunStore, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        with pytest.raises(UserError, match=r"cannot write to the store .*: No space left on device"):
            store.save(_record(RunSpec("rte")))
    assert store.digests() == set()
    assert _entries(store) == []
    store.save(_record(RunSpec("rte")))
    assert RunSpec("rte") in store


def test_crash_while_writing_leaves_nothing_readable(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tfew_pl.store.json.dumps", crash)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # a process that is killed cleans nothing up
        with pytest.raises(KeyboardInterrupt):
            store.save(_record(RunSpec("rte"), 0.1))
    assert store.digests() == set()
    assert list(store.records()) == []
    store.save(_record(RunSpec("rte"), 0.2))
    assert store.load(RunSpec("rte")).accuracy["a"] == 0.2


def test_folder_without_a_record_is_not_listed(store: RunStore) -> None:
    (store.folder / "0123456789abcdef").mkdir(parents=True)
    (store.folder / ".unfinished-x").mkdir()
    (store.folder / ".unfinished-x" / "record.json").write_text("{}")
    assert store.digests() == set()


def test_missing_record(store: RunStore) -> None:
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
def test_unreadable_record(store: RunStore, file: str, content: str | None) -> None:
    folder = store.save(_record(RunSpec("rte")))
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UserError, match="not a readable record") as caught:
        store.load(RunSpec("rte"))
    assert str(folder) in str(caught.value)


def _edit(store: RunStore, **values: Any) -> RunSpec:
    spec = RunSpec("rte")
    path = store.save(_record(spec)) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return spec


def test_record_of_another_version(store: RunStore) -> None:
    with pytest.raises(UserError, match="schema version 99, expected 1"):
        store.load(_edit(store, version=99))


def test_record_with_fields_of_a_later_version(store: RunStore) -> None:
    with pytest.raises(UserError, match="not a readable record"):
        store.load(_edit(store, costs={"euros": 3}))


def test_store_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="cannot write to the store"):
        RunStore(file / "store").save(_record(RunSpec("rte")))


def test_read_only_store(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    store.folder.mkdir()
    monkeypatch.setattr("tfew_pl.store.tempfile.TemporaryDirectory", refused)
    with pytest.raises(UserError, match=r"cannot write to the store .*: Permission denied"):
        store.save(_record(RunSpec("rte")))


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


def test_saving_over_the_remains_of_a_folder_is_not_silent(store: RunStore) -> None:
    """A folder without a record stands where the record belongs."""
    spec = RunSpec("rte")
    store.path(spec).mkdir(parents=True)
    (store.path(spec) / "losses.parquet").write_text("")
    with pytest.raises(UserError, match="cannot write to the store"):
        store.save(_record(spec))
    assert spec not in store


def test_clean_removes_what_was_abandoned_and_nothing_else(store: RunStore) -> None:
    path = store.save(_record(RunSpec("rte")))
    old, young = store.folder / ".unfinished-old", store.folder / ".unfinished-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "record.json").write_text("{}")
    os.utime(old, (0, 0))
    store.clean()
    assert not old.exists()
    assert young.is_dir()
    assert path.is_dir()


def test_packed_records_are_read_as_before(store: RunStore) -> None:
    specs = [RunSpec("rte"), RunSpec("cb"), RunSpec("copa")]
    for spec in specs:
        store.save(_record(spec, adaptation=None if spec.task == "cb" else b"vectors"))
    before = {spec.task: store.load(spec) for spec in specs}
    files = {path.name: path.read_bytes() for path in store.path(specs[0]).iterdir()}
    path = store.pack("table4", [spec.digest for spec in specs[:2]])
    assert path is not None
    assert _entries(store) == sorted([specs[2].digest, path.name])
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


def test_packing_adds_to_what_is_packed(store: RunStore) -> None:
    first, second = RunSpec("rte"), RunSpec("cb")
    store.save(_record(first))
    store.pack("table4", [first.digest])
    store.save(_record(second))
    assert store.pack("table4", [first.digest, second.digest]) is not None
    assert store.folders() == set()
    assert store.digests() == {first.digest, second.digest}
    assert store.pack("table4", [first.digest, second.digest, "0" * 16]) is None


def test_packing_that_fails_keeps_the_folders(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RunSpec("rte")
    store.save(_record(spec))

    def refuse(path: Path, contents: Any) -> NoReturn:
        raise UserError("cannot write the archive")

    monkeypatch.setattr("tfew_pl.store.write_archive", refuse)
    with pytest.raises(UserError, match="cannot write the archive"):
        store.pack("table4", [spec.digest])
    assert store.load(spec).spec == spec


def test_a_writer_may_finish_while_its_remains_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-x").symlink_to(tmp_path / "renamed into its place")
    assert list(RunStore(tmp_path).abandoned()) == []


def test_a_spec_of_fields_that_are_not_known_is_one_message(store: RunStore) -> None:
    spec = RunSpec("rte")
    path = store.save(_record(spec)) / "record.json"
    assert store.spec(spec.digest) == spec
    values = json.loads(path.read_text())
    values["spec"]["unheard_of"] = 1
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="not a readable record"):
        store.spec(spec.digest)


@pytest.mark.parametrize("packed", [False, True])
def test_amending_replaces_what_a_record_says_and_nothing_else(store: RunStore, packed: bool) -> None:
    specs = [RunSpec("rte"), RunSpec("cb")]
    for spec in specs:
        store.save(_record(spec))
    if packed:
        store.pack("both", [spec.digest for spec in specs])
    before = {spec.digest: {name: store.file(spec.digest, name) for name in FILES} for spec in specs}
    entries = _entries(store)
    changed, kept = (spec.digest for spec in specs)
    values = store.read(changed)
    store.amend({changed: values | {"costs": values["costs"] | {"measured_inference_flops": 4.0}}})
    assert _entries(store) == entries
    assert store.load(changed).costs.measured_inference_flops == 4.0
    assert {name: store.file(kept, name) for name in FILES} == before[kept]
    assert {name: store.file(changed, name) for name in FILES if name != RECORD} == {
        name: content for name, content in before[changed].items() if name != RECORD
    }
    store.amend({changed: values})
    assert {name: store.file(changed, name) for name in FILES} == before[changed]
