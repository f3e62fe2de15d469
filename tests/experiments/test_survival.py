"""What a grid survives: processes killed at any moment, other runners, a disk that takes no more."""

import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from tfew_pl.spec import RunSpec
from tfew_pl.store import CHECKPOINTS, RECORD, RunStore

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests" / "experiments" / "fakes"
KILLS = 20
SPECS = [RunSpec("rte", seed=seed) for seed in range(30)]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    seeds = [spec.seed for spec in SPECS]
    path.write_text(f"name: n\ndescription: d\nvariants: [{{name: A, task: rte, sweep: {{seed: {seeds}}}}}]\n")
    return path


@pytest.fixture
def start(tmp_path: Path, grid: Path) -> Iterator[Start]:
    """Starts `tfew grid` with a job that keeps a journal; at the end none is left."""
    processes: list[subprocess.Popen[str]] = []

    def begin(store: Path, seconds: float, journal: Path) -> "subprocess.Popen[str]":
        job = f"fake.JournalJob(store, store.__class__({str(journal)!r}), {seconds})"
        command = [sys.executable, FAKES / "grid_with_fake_job.py", job, store, grid, "--workers", "2", "--slots", "1"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def files(store: Path) -> dict[str, bytes]:
    """Every file of every record."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.glob("[0-9a-f]*/*")}


def undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    monkeypatch.syspath_prepend(str(FAKES))
    import fake_job

    job = fake_job.JournalJob(tmp_path / "undisturbed", tmp_path / "unread")
    for spec in SPECS:
        job([spec], lambda *_: None)
    del sys.modules["fake_job"]
    return files(tmp_path / "undisturbed")


def next_worker(journal: Path) -> tuple[int, str]:
    """The process that begins the next run, and the run."""
    before = len(journal.read_text().splitlines()) if journal.exists() else 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = journal.read_text().splitlines() if journal.exists() else []
        if len(lines) > before:
            process, run, *_ = lines[-1].split()
            return int(process), run
        time.sleep(0.02)
    raise TimeoutError("no run has begun for a minute")


def test_kill_9_at_any_moment_changes_no_record(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = undisturbed(tmp_path, monkeypatch)
    assert len(expected) == 5 * len(SPECS)
    store, journal = tmp_path / "store", tmp_path / "journal"
    generator = random.Random(0)
    process = start(store, 0.4, journal)
    killed = {"runner": 0, "worker": 0}
    losses: Counter[str] = Counter()
    while sum(killed.values()) < KILLS:
        if generator.random() < 0.5:
            time.sleep(generator.uniform(0.0, 1.5))
            assert process.poll() is None, process.communicate()[0]
            process.kill()
            process.communicate()
            process = start(store, 0.4, journal)
            killed["runner"] += 1
        else:
            worker, run = next_worker(journal)
            losses[run] += 1
            if losses[run] > 2:  # a runner gives up on a run that it has lost three times
                continue
            time.sleep(generator.uniform(0.0, 0.8))
            assert process.poll() is None, process.communicate()[0]
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                killed["worker"] += 1
        for record in store.glob(f"[!.]*/{RECORD}"):  # what is there is whole
            there = {str(file.relative_to(store)): file.read_bytes() for file in record.parent.iterdir()}
            assert len(there) == 5
            assert there.items() <= expected.items()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert min(killed.values()) >= 3
    assert files(store) == expected
    begun = journal.read_text().splitlines()
    assert len(begun) > len(SPECS), "some runs were lost and done again"
    assert not any(line.endswith("again") for line in begun), "a run that has a record was never begun again"
    last = start(store, 0.4, journal)
    assert f"all {len(SPECS)} runs are in {store}: nothing to do" in last.communicate(timeout=60)[0]


def test_killed_trainings_leave_the_records_of_an_undisturbed_grid(backbone_folder: Path, tmp_path: Path) -> None:
    """Real ones, in slots and alone, which go on from their checkpoints."""
    command = [sys.executable, ROOT / "tests" / "experiments" / "killed_trainings.py", backbone_folder, tmp_path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    repeated = set(printed.pop("repeated"))  # always the whole group
    assert repeated <= {"its process was killed by SIGKILL (out of memory?); trying again"}
    assert printed == {"killed": 6, "status": 0}
    undisturbed, killed = RunStore(tmp_path / "undisturbed"), RunStore(tmp_path / "killed")
    assert killed.digests() == undisturbed.digests()
    timings = {"training_seconds": 0.0, "evaluation_seconds": 0.0, "peak_memory_bytes": 0}
    pairs = list(zip(undisturbed.records(), killed.records(), strict=True))
    assert len(pairs) == 6
    for one, other in pairs:
        assert (one.spec, one.accuracy, one.adaptation) == (other.spec, other.accuracy, other.adaptation)
        assert one.environment == other.environment
        assert dataclasses.replace(one.costs, **timings) == dataclasses.replace(other.costs, **timings)
        pd.testing.assert_frame_equal(one.losses, other.losses, check_exact=True)
        pd.testing.assert_frame_equal(one.predictions, other.predictions, check_exact=True)
    assert sum("group" in one.environment for one, _ in pairs) == 3
    assert list((tmp_path / "killed" / CHECKPOINTS).iterdir()) == []


def test_two_runners_do_each_run_once_between_them(start: Start, tmp_path: Path) -> None:
    store, journal = tmp_path / "store", tmp_path / "journal"
    runners = [start(store, 0.05, journal) for _ in range(2)]
    outputs = [runner.communicate(timeout=120)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], outputs
    begun = [line.split()[1] for line in journal.read_text().splitlines()]
    assert sorted(begun) == sorted(spec.digest for spec in SPECS)
    own = [int(found[1]) for out in outputs if (found := re.search(r"(\d+) runs finished in", out))]
    assert sum(own) == len(SPECS)
    assert min(own) > 0, "both took part"
    others = [int(found[1]) for out in outputs if (found := re.search(r", (\d+) more by other runners", out))]
    assert sorted(others) == sorted(own)
    assert RunStore(store).digests() == {spec.digest for spec in SPECS}


def mount(*arguments: str) -> None:
    """Mounts, or skips the test where that is not allowed."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is full after a few records."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.name != "posix" or not Path("/proc/mounts").exists():
        pytest.skip("needs Linux")
    mount("-t", "tmpfs", "-o", "size=640k", "tfew-test", str(disk))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_and_one_that_becomes_read_only_are_one_message(
    start: Start, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = undisturbed(tmp_path, monkeypatch)
    store = small_disk / "store"
    process = start(store, 0.01, tmp_path / "journal")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2, out
    lines = [line for line in out.splitlines() if line.startswith("tfew: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"tfew: cannot write to the store {store}: No space left on device")
    assert "Traceback" not in out
    done = files(store)
    assert 3 * 5 <= len(done) < len(expected)
    assert done.items() <= expected.items(), "what is there is whole"

    mount("-o", "remount,ro,size=4m", "tfew-test", str(small_disk))
    process = start(store, 0.01, tmp_path / "journal")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2, out
    assert out.splitlines()[-1] == f"tfew: cannot write to the store {store}: Read-only file system"

    mount("-o", "remount,rw,size=4m", "tfew-test", str(small_disk))
    process = start(store, 0.01, tmp_path / "journal")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert files(store) == expected
