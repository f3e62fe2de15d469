"""`tfew claims`."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import experiments.grid
from experiments.claims import CLAIMS
from tfew_pl.record import RunRecord
from tfew_pl.store import RunStore

Tfew = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_checkpoint_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    load = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    monkeypatch.setattr(experiments.grid, "load_grid", load)


def test_the_command_prints_both_ways(tfew: Tfew, tmp_path: Path) -> None:
    rows = json.loads(tfew("claims", "--store", str(tmp_path), "--json").out)
    assert [row["claim"] for row in rows] == [claim.text for claim in CLAIMS]
    assert {row["status"] for row in rows} == {"cannot tell at this scale"}
    shown = tfew("claims", "--store", str(tmp_path))
    assert shown.code == 0
    assert "tfew grid table3" in shown.out
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_written_beside_the_tables(tfew: Tfew, record: Callable[..., RunRecord], tmp_path: Path) -> None:
    records = RunStore(tmp_path / "records")
    for run in experiments.grid.load_grid(experiments.grid.find_grid("table8")).runs:
        right = 0.9 if run.spec.recipe.pretrained else 0.5
        costs = {"parameters": 1000, "trained_parameters": 1, "measured_training_flops": 1}
        found = {**costs, "measured_inference_flops": 1, "measured_stored_bytes": 1}
        records.save(record(run.spec, {"a": right}, 40, **found))
    store = ("--store", str(records.folder))
    result = tfew("claims", *store)
    assert (result.code, result.err) == (0, f"Wrote {tmp_path / 'README.md'}\n")
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert '**pre-training the vectors improves (IA)3** (Section 3.4): "(IA)3 + PT" is 40.0 points [' in page
    assert "| 110 of 110 | `tfew table 8` |" in page  # no such file stands beside the page
    result = tfew("claims", *store, "--json", "--out", str(tmp_path / "other"))
    assert (tmp_path / "other" / "README.md").read_text(encoding="utf-8") == page
    assert [row["status"] for row in json.loads(result.out) if row["section"] == "3.4"] == ["supported"]


def test_the_readme_of_something_else_is_left_alone(
    tfew: Tfew, record: Callable[..., RunRecord], tmp_path: Path
) -> None:
    run = experiments.grid.load_grid(experiments.grid.find_grid("table8")).runs[0]
    RunStore(tmp_path / "records").save(record(run.spec, {"a": 0.5}))
    (tmp_path / "README.md").write_text("# My project\n", encoding="utf-8")
    for _ in range(2):
        result = tfew("claims", "--store", str(tmp_path / "records"))
        assert (result.code, result.err) == (0, f"Wrote {tmp_path / 'claims.md'}\n")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# My project\n"
