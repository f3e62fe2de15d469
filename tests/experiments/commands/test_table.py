"""`tfew table`: from a store of synthetic records to what is printed and written."""

import csv
import dataclasses
import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import experiments.commands.table
import experiments.grid
from experiments.commands.table import default_folder
from experiments.tables.block import markdown, to_csv
from experiments.tables.table1 import Table1
from experiments.tables.table1_document import document
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore

Tfew = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_checkpoint_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    load = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    monkeypatch.setattr(experiments.grid, "load_grid", load)


@pytest.fixture
def grid() -> experiments.grid.Grid:
    """Table 1's grid, its specs left as they are."""
    return experiments.grid.load_grid(experiments.grid.find_grid("table1"))


@pytest.fixture(scope="module")
def folder(make_variants: Callable[[], dict[str, list[RunRecord]]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record for every run of the grid, with the synthetic records' findings."""
    grid = experiments.grid.load_grid(experiments.grid.find_grid("table1"), resolved=lambda spec: spec)
    found = {_run(record.spec): record for records in make_variants().values() for record in records}
    records = RunStore(tmp_path_factory.mktemp("store"))
    for run in grid.runs:
        records.save(dataclasses.replace(found[_run(run.spec)], spec=run.spec))
    return records.folder


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> RunStore:
    """A copy of it."""
    shutil.copytree(folder, tmp_path / "results" / "records", copy_function=os.link)
    return RunStore(tmp_path / "results" / "records")


def _run(spec: RunSpec) -> tuple[str, str, int]:
    return spec.task, spec.method, spec.seed


def test_prints_and_writes(tfew: Tfew, store: RunStore) -> None:
    result = tfew("table", "1", "--store", str(store.folder))
    assert result.code == 0
    assert result.out.startswith("Table 1: accuracy on the held-out tasks, and its cost\n")
    written = sorted(path.name for path in store.folder.parent.iterdir())
    assert written == ["records", "table1.csv", "table1.md", "table1.png", "table1.svg", "table1_tasks.csv"]
    with (store.folder.parent / "table1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows][:3] == ["T-Few", "Zero-shot", "In-context learning"]
    assert f"{float(rows[0]['accuracy']):.1f}" in result.out


def test_json(tfew: Tfew, store: RunStore) -> None:
    result = tfew("table", "1", "--store", str(store.folder), "--json")
    rows = json.loads(result.out)
    assert [row["paper_accuracy"] for row in rows] == [72.4, 66.9, 49.6, 57.2, 60.3, 66.6]
    assert rows[0]["accuracy"] > rows[1]["accuracy"] > rows[2]["accuracy"]
    assert not (store.folder.parent / "table1.md").exists()


def test_formats(tfew: Tfew, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Table1] = []
    monkeypatch.setattr(experiments.commands.table, "write", lambda table, folder: tables.append(table) or [])
    arguments = ("table", "1", "--store", str(store.folder), "--format")
    shown = [tfew(*arguments, form).out for form in ("markdown", "csv")]
    assert shown == [markdown(document(tables[0])), to_csv(tables[1].values())]


def test_missing_runs_name_the_command_that_makes_them(
    tfew: Tfew, grid: experiments.grid.Grid, store: RunStore
) -> None:
    (store.path(grid.runs[3].spec) / "record.json").unlink()
    result = tfew("table", "1", "--store", str(store.folder))
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"tfew: 1 of 121 runs are missing in {store.folder}, the first of them "
        f"{grid.runs[3].spec.label()}; make them with: tfew grid table1 --store {store.folder}\n"
    )


def test_replacements_are_passed_on(tfew: Tfew, grid: experiments.grid.Grid, tmp_path: Path) -> None:
    result = tfew("table", "1", "--store", str(tmp_path / "none"), "--backbone", "t0-3b", "--data", "hub", "--json")
    assert result.code == 2
    assert "121 of 121 runs are missing" in result.err
    assert "(t0-3b); make them with: tfew grid table1 --backbone t0-3b --data hub --store" in result.err


def test_unknown_table(tfew: Tfew) -> None:
    assert tfew("table", "12") == (2, "", "tfew: there is no table 12 here; there is table 1\n")


def test_an_unwritable_folder_is_one_line(tfew: Tfew, store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = tfew("table", "1", "--store", str(store.folder), "--out", str(tmp_path / "file"))
    assert result.code == 2
    assert result.err.startswith(f"tfew: cannot write to {tmp_path / 'file'}: ")


def test_files_of_other_backbones_and_stores_stand_apart() -> None:
    assert default_folder(None, None, None) == Path("results/pocket")
    assert default_folder(None, "t0-3b", "hub") == Path("results/t0-3b-hub")
    assert default_folder(None, "google/t5-small", None) == Path("results/google-t5-small")
    assert default_folder(Path("a/records"), "t0", None) == Path("a")
