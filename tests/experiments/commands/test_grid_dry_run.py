import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.failures import Failure, Failures
from experiments.grid import Grid, load_grid
from tfew_pl.leases import Leases
from tfew_pl.store import LEASES, RunStore

Tfew = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(
        "name: small\ndescription: A small grid.\n"
        "variants: [{name: A, task: rte, sweep: {seed: [0, 1, 2]}}, {name: B, task: cb, method: zero-shot}]\n"
    )
    return path


@pytest.fixture
def grid(file: Path) -> Grid:
    return load_grid(file)


def states(out: str) -> dict[str, str]:
    lines = [line for line in out.splitlines() if ", rte" in line or "B, cb" in line]
    return {line.split("  ")[-1].strip(): line[:7].strip() for line in lines}


def test_runs_are_listed_with_how_far_they_are(tfew: Tfew, file: Path, grid: Grid, tmp_path: Path, record: Any) -> None:
    store = RunStore(tmp_path / "store")
    done, failed, running, _ = (run.spec for run in grid.runs)
    store.save(record(done, {"a": 0.5}, input_tokens=80.0))
    Failures(store.folder).note(failed.digest, Failure(failed.label(), "it was too large", "a.log", 1.0))
    with Leases(store.folder / LEASES) as leases:
        assert leases.take([running.digest])
        result = tfew("grid", str(file), "--store", str(store.folder), "--dry-run")
        assert result.code == 0
        found = states(result.out)
    assert found.pop("A, rte, seed 0") == "done"
    assert found.pop("A, rte, seed 1: it was too large") == "failed"
    assert found.pop("B, cb") == "to do"
    ((running_line, state),) = found.items()
    assert running_line.startswith("A, rte, seed 2: process ")
    assert state == "running"
    assert f"1 of 4 runs are in {store.folder}" in result.out
    assert "one a100 at 4.8 % of its peak of 312 TFLOP/s" in result.out
    assert store.digests() == {done.digest}, "nothing was run"
    # The lease has been given back.
    again = tfew("grid", str(file), "--store", str(store.folder), "--dry-run", "--json", "--gpu", "h100")
    plan = json.loads(again.out)
    assert [run["state"] for run in plan["runs"]] == ["done", "failed", "to do", "to do"]
    assert plan["gpu"]["name"] == "h100"
    assert plan["all"]["runs"] == 4
    assert plan["to_do"]["runs"] == 3
    assert plan["all"]["flops"] == pytest.approx(sum(run["flops"] for run in plan["runs"]))
    assert plan["to_do"]["dollars"] == pytest.approx(sum(run["dollars"] for run in plan["runs"][1:]))


def test_a_dry_run_makes_nothing(tfew: Tfew, file: Path, tmp_path: Path) -> None:
    assert tfew("grid", str(file), "--store", str(tmp_path / "store"), "--dry-run").code == 0
    assert not (tmp_path / "store").exists()


def test_twice_the_price_is_twice_the_dollars(tfew: Tfew, file: Path) -> None:
    def dollars(*flags: str) -> float:
        result = tfew("grid", str(file), "--store", "none", "--dry-run", "--json", *flags)
        return float(json.loads(result.out)["all"]["dollars"])

    assert dollars("--dollars-per-hour", "8") == pytest.approx(2 * dollars())
    once, twice = (dollars("--utilization", share) for share in ("0.05", "0.1"))
    assert once == pytest.approx(2 * twice)


def test_what_replaces_nothing_is_said(tfew: Tfew, tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "name: n\ndescription: d\nvariants: [{name: A, task: cb, backbone: pocket-lm, method: zero-shot}]\n"
    )
    options = ("--dry-run", "--json", "--store", str(tmp_path / "store"))
    result = tfew("grid", str(file), "--backbone", "pocket-random", *options)
    assert (
        result.err
        == "tfew: --backbone pocket-random replaces nothing: no variant uses the default backbone pocket-t0\n"
    )
    assert json.loads(result.out)
    assert tfew("grid", str(file), *options).err == ""


@pytest.mark.parametrize(
    "option", [("--json",), ("--gpu", "a100"), ("--utilization", "0.5"), ("--dollars-per-hour", "0")]
)
def test_an_option_of_the_dry_run_is_an_error_without(tfew: Tfew, file: Path, option: tuple[str, ...]) -> None:
    result = tfew("grid", str(file), *option)
    assert (result.code, result.err) == (2, f"tfew: {option[0]} goes with --dry-run\n")
