import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tfew_pl.spec import RunSpec

ROOT = Path(__file__).parents[3]
FAKES = ROOT / "tests" / "experiments" / "fakes"


def start(store: Path, grid: Path, seconds: float = 0, fails: str = "") -> "subprocess.Popen[str]":
    """`tfew grid` in a process group of its own, as a shell would start it."""
    script = FAKES / "grid_with_fake_job.py"
    job = f"fake.FakeJob(store, {fails!r}, {seconds})"
    command = [sys.executable, script, job, store, grid, "--workers", "2", "--slots", "1"]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_gone(group: int) -> bool:
    """Whether every process of a group ends within seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(
        "name: small\ndescription: A small grid.\n"
        "variants: [{name: A, task: rte, sweep: {seed: [0, 1, 2]}}, {name: B, task: cb}]\n"
    )
    return path


def test_what_is_missing_is_run_and_nothing_else(tmp_path: Path, grid: Path) -> None:
    store = tmp_path / "store"
    first = start(store, grid, fails="raises")
    out, err = first.communicate(timeout=60)
    assert (first.returncode, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "small: A small grid."
    assert lines[1] == f"0 of 4 runs are in {store}; 4 to do with 2 workers, 1 thread each"
    shown = sorted(re.sub(r"[\d.]+ s\b", "T", line.partition("] ")[2].partition("; ")[0]) for line in lines[2:6])
    assert shown == [
        "A, rte, seed 0: 0.0 % in T",
        "A, rte, seed 1: failed after T: ValueError: a loss is not a number",
        "A, rte, seed 2: 2.0 % in T",
        "B, cb, seed 42: 42.0 % in T",
    ]
    digest = RunSpec("rte", seed=1).digest
    assert lines[6].startswith("3 runs finished in ")
    assert lines[7:] == [
        "1 failed:",
        "  A: ia3 on rte, seed 1 (pocket-t0)",
        "    ValueError: a loss is not a number",
        f"    {store / 'logs' / digest}.log",
    ]

    second = start(store, grid)
    out, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, "")
    assert "3 of 4 runs are in" in out
    assert "[1/1] A, rte, seed 1: 1.0 % in " in out

    third = start(store, grid)
    out, err = third.communicate(timeout=60)
    assert (third.returncode, err) == (0, "")
    assert out.splitlines()[1:] == [f"all 4 runs are in {store}: nothing to do; another --store computes them anew"]


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda pid: os.killpg(pid, signal.SIGINT), id="Ctrl-C"),  # a terminal signals all of the group
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), id="SIGTERM"),
        pytest.param(lambda pid: os.killpg(pid, signal.SIGTERM), id="SIGTERM of the group"),
    ],
)
def test_an_interruption_says_how_to_go_on_and_leaves_no_process(
    tmp_path: Path, grid: Path, send: Callable[[int], None]
) -> None:
    store = tmp_path / "store"
    process = start(store, grid, seconds=0.7)
    deadline = time.monotonic() + 30
    while not list(store.glob("[!.]*/record.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    send(process.pid)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    done = len(list(store.glob("[!.]*/record.json")))
    assert 1 <= done < 4
    assert out.splitlines()[-1] == (
        f"interrupted: {done} of 4 runs are in {store}; the same command goes on from there"
    )
    assert is_gone(process.pid)
    assert "lost" not in out
    assert "failed" not in out
    for folder in ("leases", "logs", "failures"):
        assert list((store / folder).iterdir()) == []

    seeds = {path: json.loads(path.read_text()) for path in store.glob("[!.]*/record.json")}
    again = start(store, grid)
    out, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert f"{done} of 4 runs are in" in out
    assert {path: json.loads(path.read_text()) for path in seeds} == seeds


def test_workers_end_when_the_runner_is_killed(tmp_path: Path, grid: Path) -> None:
    process = start(tmp_path / "store", grid, seconds=0.5)
    deadline = time.monotonic() + 30
    while not list((tmp_path / "store").glob("[!.]*/record.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    process.communicate()
    assert is_gone(process.pid)


def test_a_bad_grid_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\ndescription: y\nvariants: [{name: A, task: rtee, sed: 3}]\n")
    process = start(tmp_path / "store", path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines() == [
        f"tfew: {path}: 2 problems",
        "  variant 'A': task: unknown task 'rtee': did you mean rte?",
        "  variant 'A': sed: unknown; did you mean seed?",
    ]
    assert not (tmp_path / "store").exists()
