"""`tfew cost`."""

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


@pytest.fixture
def _no_checkpoint_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    load = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    monkeypatch.setattr(experiments.grid, "load_grid", load)


def test_the_papers_setting(tfew: Tfew) -> None:
    rows = json.loads(tfew("cost", "--setting", "paper", "--json").out)
    assert rows == json.loads(tfew("cost", "--json").out)
    assert [row["method"] for row in rows] == ["T-Few", "T0", "T5+LM", "GPT-3 6.7B", "GPT-3 13B", "GPT-3 175B"]
    assert all({"inference_flops", "training_flops", "disk_bytes"} <= row.keys() for row in rows)
    assert {row["break_even_of"] for row in rows} == {"T-Few"}
    shown = tfew("cost")
    assert "1.4e15" in shown.out
    assert "Break-even: predictions from which T-Few, its training included" in shown.out
    assert "By formula" not in shown.out
    assert "price a100: $4.00 an hour (Azure, 2022, by Section 4.2 of the paper" in shown.out
    for name, source in (("h100", "from a copy of aws.amazon.com"), ("l4", "$0.80 an hour (assumed;")):
        assert source in tfew("cost", "--price", name).out


@pytest.mark.usefixtures("_no_checkpoint_is_needed")
def test_the_runs_of_a_grid(tfew: Tfew, variants: dict[str, list[RunRecord]], tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    grid = experiments.grid.load_grid(experiments.grid.find_grid("table1"))
    spec = grid.variants()["T-Few"][0]
    (found,) = (r for r in variants["T-Few"] if (r.spec.task, r.spec.seed) == (spec.task, spec.seed))
    store.save(found)
    (row,) = json.loads(tfew("cost", "--setting", "table1", "--store", str(tmp_path), "--json").out)
    assert (row["method"], row["runs"], row["backbone"]) == ("T-Few", 1, "pocket-t0")
    assert row["measured_training_flops"] == 4.1e12
    shown = tfew("cost", "--setting", "table1", "--store", str(tmp_path), "--price", "mine=1@1e9").out
    assert "4.1e12" in shown
    assert "price mine=1@1e9" in shown
    assert "$ training" in shown
    assert "peak of their process" in shown
    without = tfew("cost", "--setting", "table1", "--store", str(tmp_path)).out
    assert "$ training" not in without
    assert "Dollars: with --price." in without


@pytest.mark.usefixtures("_no_checkpoint_is_needed")
def test_what_break_even_and_contexts_are_counted_against(
    tfew: Tfew, variants: dict[str, list[RunRecord]], tmp_path: Path
) -> None:
    """The first method that trains is named, which in Table 4 is not T-Few; and what a kept context leaves out."""
    store = RunStore(tmp_path)
    for name, of in variants.items():
        if name in ("T-Few", "In-context learning"):
            for found in of:
                store.save(found)
    table9 = tfew("cost", "--setting", "table9", "--store", str(tmp_path)).out
    assert "Break-even: predictions from which T-Few, its training included, costs no more" in table9
    assert "As measured, a context that is kept" in table9
    table4 = experiments.grid.load_grid(experiments.grid.find_grid("table4")).variants()
    name = next(name for name, specs in table4.items() if specs[0].method == "full")
    for spec in table4[name][:1]:
        store.save(dataclasses.replace(variants["T-Few"][0], spec=spec))
    (row, *_) = json.loads(tfew("cost", "--setting", "table4", "--store", str(tmp_path), "--json").out)
    assert row["break_even_of"] == name
    assert f"predictions from which {name}" in tfew("cost", "--setting", "table4", "--store", str(tmp_path)).out


@pytest.mark.usefixtures("_no_checkpoint_is_needed")
def test_what_cannot_be_shown(tfew: Tfew, tmp_path: Path) -> None:
    result = tfew("cost", "--setting", "table1", "--store", str(tmp_path))
    assert result.code == 2
    assert result.err.strip().endswith(f"make them with: tfew grid table1 --store {tmp_path}")
    assert tfew("cost", "--setting", "pape").code == 2
    for flags in (("--store", str(tmp_path)), ("--backbone", "t0"), ("--data", "hub")):
        assert "give --setting a grid, such as table1" in tfew("cost", *flags).err
    assert "did you mean a100" in tfew("cost", "--price", "a10").err
