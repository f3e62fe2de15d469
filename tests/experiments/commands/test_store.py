import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from experiments import recounting
from experiments.failures import Failure, Failures
from experiments.store_care import disk_usage
from tfew_pl.leases import Leases
from tfew_pl.record import RunRecord
from tfew_pl.run import run
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec
from tfew_pl.store import LEASES, RunStore
from tfew_pl.store_archives import amend, pack
from tfew_pl.tasks.task import UNLABELED

Tfew = Callable[..., Any]
TRAINED, SHOWN = RunSpec("rte", seed=1), RunSpec("cb", method=ZERO_SHOT)


@pytest.fixture
def store(tmp_path: Path, record: Any) -> RunStore:
    """Two records that are what they say."""
    store = RunStore(tmp_path / "store")
    predictions = pd.DataFrame(
        {"template": [0, 0, 1, 1], "example": [0, 1, 0, 1], "gold": 1, "predicted": [1, 0, 1, 1]}
    )
    for spec in (TRAINED, SHOWN):
        made = record(spec, {"first": 0.5, "second": 1.0}, training_seconds=3.0, evaluation_seconds=2.0)
        fields = {name: getattr(made, name) for name in RunRecord.__dataclass_fields__}
        fields |= {"predictions": predictions, "environment": {"commit": "abc+", "packages": {"torch": "2"}}}
        if spec.trains:
            fields["adaptation"] = save({"vector": np.ones(3)})
        store.save(RunRecord(**fields))
    return store


def flag(store: RunStore) -> tuple[str, str]:
    return "--store", str(store.folder)


def test_ls_lists_records_and_failures(tfew: Tfew, store: RunStore) -> None:
    Failures(store.folder).note("f" * 16, Failure("ia3 on wic, seed 3", "it was too large", "a.log", 1.0))
    result = tfew("store", "ls", *flag(store))
    assert result.code == 0
    assert TRAINED.digest in result.out
    assert SHOWN.digest in result.out
    assert "failed: ia3 on wic, seed 3: it was too large (a.log)" in result.out
    rows = json.loads(tfew("store", "ls", *flag(store), "--json").out)
    assert [(row["task"], row["seed"], row["accuracy"], row["seconds"]) for row in rows] == [
        ("rte", 1, 75.0, 5.0),
        ("cb", None, 75.0, 5.0),
    ]
    assert rows[0]["commit"] == "abc+"


def test_runs_without_labels_are_listed_verified_and_exported(tfew: Tfew, tmp_path: Path, record: Any) -> None:
    store, made = RunStore(tmp_path / "store"), record(RunSpec("raft/terms_of_service"), {})
    fields = {name: getattr(made, name) for name in RunRecord.__dataclass_fields__}
    fields["predictions"] = pd.DataFrame({"template": 0, "example": [0, 1], "gold": UNLABELED, "predicted": [1, 0]})
    store.save(RunRecord(**fields))
    rows = json.loads(tfew("store", "ls", *flag(store), "--json").out)
    assert [(row["accuracy"], row["accuracy_iqr"]) for row in rows] == [(None, None)]
    assert "1 records" in tfew("store", "ls", *flag(store)).out
    assert tfew("store", "verify", *flag(store)).code == 0
    assert "1 rows of 1 records" in tfew("store", "export", *flag(store), "--out", str(tmp_path / "all.csv")).out


def test_show_takes_the_beginning_of_a_digest(tfew: Tfew, store: RunStore) -> None:
    result = tfew("store", "show", TRAINED.digest[:6], *flag(store))
    assert result.code == 0
    assert TRAINED.label() in result.out
    assert "packages.torch" in result.out
    assert json.loads(tfew("store", "show", TRAINED.digest, *flag(store), "--json").out)["digest"] == TRAINED.digest
    for prefix, said in (("zz", "no record"), ("", "2 records")):
        result = tfew("store", "show", prefix, *flag(store))
        assert result.code == 2
        assert said in result.err


def test_records_that_are_as_they_were_written_are_verified(tfew: Tfew, store: RunStore) -> None:
    result = tfew("store", "verify", *flag(store))
    assert (result.code, result.out) == (0, f"2 of 2 records are as they were written: {store.folder}\n")


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: flip(folder / "predictions.parquet"), "predictions.parquet has changed since"),
        (lambda folder: (folder / "losses.parquet").unlink(), "losses.parquet is missing"),
        (lambda folder: edit(folder / "record.json", accuracy={"first": 0.5, "second": 0.9}), "through second is 0.9"),
        (lambda folder: edit(folder / "record.json", accuracy={"first": 0.5}), "accuracies of 1 templates"),
        (lambda folder: (folder / "record.json").write_text("{"), "not a readable record"),
        (lambda folder: folder.rename(folder.with_name("0" * 16)), f"it is the record of {TRAINED.digest}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(tfew: Tfew, store: RunStore, damage: Callable[[Path], object], said: str) -> None:
    damage(store.path(TRAINED))
    result = tfew("store", "verify", *flag(store))
    assert result.code == 1
    assert said in result.out
    assert "1 of 2 records are as they were written" in result.out
    found = json.loads(tfew("store", "verify", *flag(store), "--json").out)
    assert found["records"] == 2
    assert len(found["problems"]) == 1


def test_an_adaptation_that_is_none_is_found(tfew: Tfew, store: RunStore) -> None:
    folder = store.path(TRAINED)
    (folder / "adaptation.safetensors").write_bytes(b"nothing")
    files = json.loads((folder / "record.json").read_text())["files"]
    edit(folder / "record.json", files={k: v for k, v in files.items() if k != "adaptation.safetensors"})
    assert "adaptation.safetensors cannot be read" in tfew("store", "verify", *flag(store)).out


def test_flops_that_another_version_counted_are_counted_anew(
    tfew: Tfew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, few = RunStore(tmp_path / "store"), Evaluation(examples=2, templates=1)
    for task in ("cb", "rte", "copa"):
        store.save(run(RunSpec(task, method=ZERO_SHOT, evaluation=few)))
    digests = sorted(store.digests())
    before = {digest: store.read(digest) for digest in digests}
    assert tfew("store", "recount", *flag(store)).out == (
        f"counted 3 of 3 records, 0 otherwise than before: {store.folder}\n"
    )
    assert {digest: store.read(digest) for digest in digests} == before

    monkeypatch.setattr(recounting, "_AT_A_TIME", 2)
    amend(store, {digest: {"costs": {"measured_inference_flops": 1.0}} for digest in digests})
    result = tfew("store", "recount", *flag(store))
    assert (result.code, result.out) == (0, f"counted 3 of 3 records, 3 otherwise than before: {store.folder}\n")
    after = {digest: store.read(digest) for digest in digests}
    by = {key: before[digests[0]]["environment"][key] for key in ("commit", "packages")}
    assert [record["environment"].pop("recounted") for record in after.values()] == [by, by, by]
    assert after == before


def test_gc_removes_what_is_no_longer_needed_and_nothing_else(tfew: Tfew, store: RunStore) -> None:
    failures = Failures(store.folder)
    logs = store.folder / "logs"
    logs.mkdir()
    failed, running = "a" * 16, "b" * 16
    failures.note(failed, Failure("x", "y", "z", 1.0))
    failures.note(SHOWN.digest, Failure("x", "y", "z", 1.0))
    for name in (failed, running, SHOWN.digest):
        (logs / f"{name}.log").write_text("")
    old = store.folder / ".unfinished-old"
    old.mkdir()
    os.utime(old, (0, 0))
    (store.folder / ".unfinished-young").mkdir()
    rubbish = {old, logs / f"{SHOWN.digest}.log", store.folder / "failures" / f"{SHOWN.digest}.json"}
    with Leases(store.folder / LEASES) as leases:
        assert leases.take([running])
        before = set(store.folder.rglob("*"))
        said = tfew("store", "gc", "--dry-run", *flag(store)).out.splitlines()
        assert {Path(line) for line in said[:-1]} == rubbish
        assert said[-1] == "3 files and folders would be removed"
        assert set(store.folder.rglob("*")) == before
        assert tfew("store", "gc", *flag(store)).out.splitlines()[-1] == "3 files and folders removed"
        assert set(store.folder.rglob("*")) == before - rubbish
    dead, beginning = (store.folder / LEASES / name for name in (".owner-dead", ".owner-beginning"))
    for path in (dead, beginning):  # the latter has taken nothing yet
        path.write_text("{}")
    os.utime(dead, (0, 0))
    assert tfew("store", "gc", *flag(store)).out.splitlines()[:-1] == [str(dead), str(logs / f"{running}.log")]
    assert beginning.exists()
    assert tfew("store", "verify", *flag(store)).code == 0


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_export_is_one_table(tfew: Tfew, store: RunStore, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"table.{suffix}"
    result = tfew("store", "export", "--out", str(out), *flag(store))
    assert (result.code, result.out) == (0, f"4 rows of 2 records: {out}\n")
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "jsonl": lambda path: pd.read_json(path, lines=True)}
    table = read[suffix](out)
    assert len(table) == 4
    row = table[(table["digest"] == TRAINED.digest) & (table["template"] == "second")].iloc[0]
    assert (row["accuracy"], row["spec.recipe.steps"], row["environment.packages.torch"]) in (
        (1.0, 1000, "2"),
        (1.0, 1000, 2),
    )
    assert list(tmp_path.glob(".*")) == []


def test_errors_are_one_line(tfew: Tfew, store: RunStore, tmp_path: Path) -> None:
    for arguments, said in (
        (("ls", "--store", "nowhere"), "tfew: there is no store nowhere: name its folder with --store"),
        (("export", "--out", "a.xls", *flag(store)), "tfew: --out a.xls: its name ends in .csv, .parquet, .jsonl"),
        (("export", "--out", str(tmp_path / "no" / "a.csv"), *flag(store)), "tfew: cannot write"),
    ):
        result = tfew("store", *arguments)
        assert result.code == 2
        assert result.err.startswith(said)
        assert len(result.err.splitlines()) == 1


def test_unpacking_is_the_inverse_of_packing(tfew: Tfew, store: RunStore) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}

    before = files()
    (path,) = pack(store, "table4", [TRAINED.digest, SHOWN.digest])
    assert list(files()) == [path]
    result = tfew("store", "unpack", "table4", *flag(store))
    assert (result.code, result.out) == (0, f"table4: 2 records unpacked into {store.folder}\n")
    assert files() == before

    refused = tfew("store", "unpack", "table4", *flag(store))
    assert refused.err == f"tfew: the store {store.folder} has no archive table4; it has: none\n"
    assert refused.code == 2


def test_packed_records_are_listed_and_verified_like_others(tfew: Tfew, store: RunStore) -> None:
    pack(store, "table4", [TRAINED.digest])
    result = tfew("store", "verify", *flag(store))
    assert (result.code, result.out) == (0, f"2 of 2 records are as they were written: {store.folder}\n")
    assert TRAINED.digest in tfew("store", "ls", *flag(store)).out


def test_pack(tfew: Tfew, store: RunStore, tmp_path: Path) -> None:
    grid = tmp_path / "mine.yaml"
    grid.write_text("name: mine\ndescription: A grid.\nvariants:\n  - {name: A, task: cb, method: zero-shot}\n")
    result = tfew("store", "pack", str(grid), *flag(store))
    assert (result.code, result.out) == (0, "mine: nothing to pack\n"), "the store's run has no revisions"
    made = run(RunSpec("cb", method=ZERO_SHOT, evaluation=Evaluation(examples=2, templates=1)))
    store.save(made)
    grid.write_text(
        grid.read_text().replace("method: zero-shot", "method: zero-shot, evaluation: {examples: 2, templates: 1}")
    )
    result = tfew("store", "pack", str(grid), *flag(store))
    assert result.code == 0
    assert result.out.startswith(f"mine: {store.folder / 'mine.archive.parquet'}, ")
    assert made.spec in store
    assert made.spec.digest not in store.folders()
    for arguments, said in (
        (("no-such-grid", *flag(store)), "unknown grid 'no-such-grid'"),
        ((str(grid), "--store", "nowhere"), "there is no store nowhere: name its folder with --store"),
        ((str(grid), "--backbone", "no-such-backbone", *flag(store)), "unknown backbone 'no-such-backbone'"),
    ):
        missing = tfew("store", "pack", *arguments)
        assert missing.code == 2
        assert said in missing.err


def test_records_that_cannot_be_counted_are_named_before_any_is(tfew: Tfew, tmp_path: Path) -> None:
    store, few = RunStore(tmp_path / "store"), Evaluation(examples=2, templates=1)
    made = run(RunSpec("cb", method=ZERO_SHOT, evaluation=few))
    store.save(made)
    amend(store, {made.spec.digest: {"costs": {"measured_inference_flops": 1.0}}})
    lost = dataclasses.replace(made, spec=dataclasses.replace(made.spec, backbone="./lost"))
    other = dataclasses.replace(
        made, spec=dataclasses.replace(made.spec, revisions=dataclasses.replace(made.spec.revisions, data="0" * 16))
    )
    for record in (lost, other):
        store.save(record)
    result = tfew("store", "recount", *flag(store))
    assert result.code == 2
    assert result.err.startswith("tfew: runs whose FLOPs cannot be counted:\n")
    assert f"{lost.spec.label()} ({lost.spec.digest}): " in result.err
    assert f"({other.spec.digest}): its backbone, data or initial adaptation have changed" in result.err
    assert store.read(made.spec.digest)["costs"]["measured_inference_flops"] == 1.0

    for record in (lost, other):
        shutil.rmtree(store.path(record.spec))
    store.path(made.spec).rename(store.folder / ("0" * 16))
    result = tfew("store", "recount", *flag(store))
    assert (result.code, result.err) == (
        2,
        f"tfew: {store.folder / ('0' * 16)}: it is the record of {made.spec.digest}: {made.spec.label()}; remove it\n",
    )


def test_a_store_that_others_work_in_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("nowhere")
    inside = tmp_path / "folder" / "inside"
    inside.mkdir(parents=True)
    shutil.rmtree(tmp_path / "folder")
    assert disk_usage(tmp_path / "folder") == 0
    scandir = os.scandir

    def late(folder: Path) -> Any:
        found = list(scandir(folder))
        for entry in found:
            if entry.name == "gone":
                Path(entry.path).unlink()
        return contextlib.nullcontext(found)

    (tmp_path / "gone").write_bytes(b"123")
    monkeypatch.setattr("experiments.store_care.os.scandir", late)
    assert disk_usage(tmp_path) == 5 + len("nowhere")
