import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.devices import thread_environment
from experiments.events import Event, Failed, Finished, Progressed, Started
from experiments.grid import GridRun
from experiments.runner import LOGS, Summary, do_runs, missing, prepare
from experiments.workers import LocalWorkers
from tfew_pl.errors import UserError
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore

SEEDS = range(6)
RUNS = [GridRun("A", RunSpec("rte", seed=seed)) for seed in SEEDS]


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of fake jobs, importable in worker processes too: they get this process's search path."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fakes"))
    import fake_job

    yield fake_job
    del sys.modules["fake_job"]


Go = Callable[..., tuple[Summary, list[Event]]]


@pytest.fixture
def go(tmp_path: Path) -> Go:
    def do(job: Any, workers: int = 2, runs: Sequence[GridRun] = RUNS) -> tuple[Summary, list[Event]]:
        store = RunStore(tmp_path)
        prepare(store)
        launcher = LocalWorkers(job, [thread_environment(3)] * workers, tmp_path / LOGS)
        events: list[Event] = []
        return do_runs(missing(runs, store), store, launcher, events.append), events

    return do


def notes(store: Path) -> dict[int, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in store.glob("*/record.json")]
    return {note["seed"]: note for note in found}


def test_every_run_is_done_once_by_processes_that_stay_alive(fakes: Any, go: Go, tmp_path: Path) -> None:
    summary, events = go(fakes.FakeJob(tmp_path))
    assert (summary.finished, summary.failures) == (6, ())
    done = notes(tmp_path)
    assert set(done) == set(SEEDS)
    processes = {note["pid"] for note in done.values()}
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes
    assert {note["threads"] for note in done.values()} == {"3"}
    finished = [event for event in events if isinstance(event, Finished)]
    assert sorted(event.accuracy for event in finished) == [seed / 100 for seed in SEEDS]
    assert sum(isinstance(event, Started) for event in events) == 6
    assert any(isinstance(event, Progressed) and event.stage == "training" for event in events)
    assert not (tmp_path / LOGS).exists()


def test_a_finished_run_is_not_done_again(fakes: Any, go: Go, tmp_path: Path) -> None:
    go(fakes.FakeJob(tmp_path), workers=1, runs=RUNS[:2])
    before = notes(tmp_path)
    summary, _ = go(fakes.FakeJob(tmp_path), workers=1, runs=RUNS[:3])
    assert summary.finished == 1
    after = notes(tmp_path)
    assert set(after) == {0, 1, 2}
    assert {seed: after[seed] for seed in before} == before


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        ("raises", "ValueError: a loss is not a number"),
        ("user error", "the hub is not reachable"),
        ("killed", "its process was killed by SIGKILL (out of memory?)"),
        ("exits", "its process ended with exit code 3"),
    ],
)
def test_a_run_fails_alone(fakes: Any, go: Go, tmp_path: Path, fails: str, reason: str) -> None:
    summary, events = go(fakes.FakeJob(tmp_path, fails=fails))
    assert set(notes(tmp_path)) == set(SEEDS) - {1}
    assert summary.finished == 5
    (failure,) = summary.failures
    assert (failure.run, failure.reason) == (RUNS[1], reason)
    assert [event for event in events if isinstance(event, Failed)] == [failure]
    assert failure.log == tmp_path / LOGS / f"{RUNS[1].spec.digest}.log"
    log = failure.log.read_text()
    if fails in ("raises", "user error"):
        assert "output of ia3 on rte, seed 1" in log
        assert "Traceback" in log
        assert "_fail" in log
    # Only its own log is left, and the run can be done later.
    assert list((tmp_path / LOGS).iterdir()) == [failure.log]
    assert missing(RUNS, RunStore(tmp_path)) == [RUNS[1]]


def test_after_an_exception_a_new_process_does_the_rest(fakes: Any, go: Go, tmp_path: Path) -> None:
    go(fakes.FakeJob(tmp_path, fails="raises"), workers=1)
    done = notes(tmp_path)
    assert done[0]["pid"] != done[2]["pid"]
    assert done[2]["pid"] == done[5]["pid"]


def test_after_a_user_error_the_same_process_does_the_rest(fakes: Any, go: Go, tmp_path: Path) -> None:
    go(fakes.FakeJob(tmp_path, fails="user error"), workers=1)
    assert len({note["pid"] for note in notes(tmp_path).values()}) == 1


def test_what_a_later_try_finishes_leaves_no_log(fakes: Any, go: Go, tmp_path: Path) -> None:
    go(fakes.FakeJob(tmp_path, fails="raises"), workers=1, runs=RUNS[1:2])
    assert len(list((tmp_path / LOGS).iterdir())) == 1
    summary, _ = go(fakes.FakeJob(tmp_path), workers=1, runs=RUNS[1:2])
    assert summary.finished == 1
    assert not (tmp_path / LOGS).exists()


def test_a_run_without_a_record_has_failed(fakes: Any, go: Go) -> None:
    summary, events = go(fakes.Forgetful(), workers=1, runs=RUNS[:1])
    assert summary.finished == 0
    assert "its inputs changed" in summary.failures[0].reason
    assert not any(isinstance(event, Finished) for event in events)


def test_workers_that_cannot_start_end_the_grid(fakes: Any, go: Go) -> None:
    with pytest.raises(RuntimeError, match=r"could not start: its process ended with exit code \d"):
        go(fakes.Broken(), workers=1)


def test_an_interruption_ends_the_workers_at_once(fakes: Any, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    prepare(store)
    launcher = LocalWorkers(fakes.FakeJob(tmp_path, seconds=60), [{}, {}], tmp_path / LOGS)
    pids: list[int] = []

    def interrupt(event: Event) -> None:
        import multiprocessing

        pids.extend(process.pid or 0 for process in multiprocessing.active_children())
        if isinstance(event, Progressed):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_runs(RUNS, store, launcher, interrupt)
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_of_another_kind_does(tmp_path: Path) -> None:
    class InThisProcess:
        def execute(self, runs: Sequence[GridRun]) -> Generator[Event, None, None]:
            for run in runs:
                yield Started(run, 0)
                (tmp_path / run.spec.digest).mkdir()
                (tmp_path / run.spec.digest / "record.json").write_text("{}")
                yield Finished(run, 0, 0.5, 1.0)

    store = RunStore(tmp_path)
    summary = do_runs(RUNS, store, InThisProcess(), lambda event: None)
    assert summary.finished == 6
    assert missing(RUNS, store) == []


def test_a_store_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^cannot write to the store .*: Not a directory$"):
        prepare(RunStore(tmp_path / "file" / "store"))
