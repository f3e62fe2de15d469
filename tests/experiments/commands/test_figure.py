"""`tfew figure`: from a store of synthetic records to points and files."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import experiments.grid
from tfew_pl.record import RunRecord
from tfew_pl.store import RunStore

Tfew = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_checkpoint_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    load = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    monkeypatch.setattr(experiments.grid, "load_grid", load)


@pytest.fixture
def store(record: Callable[..., RunRecord], tmp_path: Path) -> RunStore:
    """Table 4's runs of two methods."""
    records = RunStore(tmp_path / "results" / "records")
    variants = experiments.grid.load_grid(experiments.grid.find_grid("table4")).variants()
    for spec in [*variants["LoRA"], *variants["(IA)3"]]:
        made = record(spec, {"a": 0.5}, examples=4, parameters=1000, trained_parameters=10, stored_bytes=40)
        records.save(dataclasses.replace(made, adaptation=None))
    return records


def test_points_and_files(tfew: Tfew, store: RunStore, tmp_path: Path) -> None:
    result = tfew("figure", "2", "--store", str(store.folder), "--json")
    rows = json.loads(result.out)
    ours = [(row["method"], row["kept_percent"], row["accuracy"]) for row in rows if row["source"] == "measured"]
    assert ours == [("LoRA", 1.0, 50.0), ("(IA)3", 1.0, 50.0)]
    assert len(rows) == 2 + 15
    assert "715 of 825 runs are missing" in result.err
    assert not list(store.folder.parent.glob("figure*"))
    result = tfew("figure", "2", "--store", str(store.folder), "--out", str(tmp_path / "new"))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["figure2.png", "figure2.svg"]


def test_unknown_figure(tfew: Tfew) -> None:
    assert tfew("figure", "1") == (2, "", "tfew: there is no figure 1 here; there are 2, 3\n")


def test_an_unwritable_folder_is_one_line(tfew: Tfew, store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = tfew("figure", "2", "--store", str(store.folder), "--out", str(tmp_path / "file"))
    assert result.code == 2
    assert f"tfew: cannot write {tmp_path / 'file' / 'figure2.svg'}: " in result.err
