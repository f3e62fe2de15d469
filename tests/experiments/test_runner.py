import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.devices import thread_environment
from experiments.events import Event, Failed, Finished, FinishedElsewhere, Progressed, Repeated, Started
from experiments.failures import Failure, Failures
from experiments.grid import GridRun
from experiments.groups import Group
from experiments.launchers.launcher import LauncherError
from experiments.launchers.local import LocalWorkers
from experiments.runner import Summary, do_runs, missing, prepare
from experiments.work_queue import WorkQueue
from tfew_pl.leases import holders
from tfew_pl.spec import RunSpec
from tfew_pl.store import LEASES, LOGS, RunStore, UnwritableStoreError

SEEDS = range(6)
RUNS = [GridRun("A", RunSpec("rte", seed=seed)) for seed in SEEDS]
ALONE: list[Group] = [(run,) for run in RUNS]


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
    def do(job: Any, workers: int = 2, groups: Sequence[Group] = ALONE) -> tuple[Summary, list[Event]]:
        store = RunStore(tmp_path)
        prepare(store)
        launcher = LocalWorkers(job, [thread_environment(3)] * workers, tmp_path / LOGS)
        events: list[Event] = []
        return do_runs(groups, store, launcher, events.append), events

    return do


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def notes(store: Path) -> dict[int, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in store.glob("[!.]*/record.json")]
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
    assert is_empty(tmp_path / LOGS)
    assert is_empty(tmp_path / LEASES)


def test_a_finished_run_is_not_done_again(fakes: Any, go: Go, tmp_path: Path) -> None:
    go(fakes.FakeJob(tmp_path), workers=1, groups=ALONE[:2])
    before = notes(tmp_path)
    summary, _ = go(fakes.FakeJob(tmp_path), workers=1, groups=ALONE[:3])
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
    # What raises would raise again; a process may die of something else than its run.
    repeated = [event.run for event in events if isinstance(event, Repeated)]
    assert repeated == ([RUNS[1]] * 2 if fails in ("killed", "exits") else [])
    noted = Failures(tmp_path).get(RUNS[1].spec.digest)
    assert noted is not None
    assert (noted.label, noted.reason, noted.log) == (RUNS[1].spec.label(), reason, str(failure.log))
    assert is_empty(tmp_path / LEASES)
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
    go(fakes.FakeJob(tmp_path, fails="raises"), workers=1, groups=ALONE[1:2])
    assert len(list((tmp_path / LOGS).iterdir())) == 1
    assert list(Failures(tmp_path).digests()) == [RUNS[1].spec.digest]
    summary, _ = go(fakes.FakeJob(tmp_path), workers=1, groups=ALONE[1:2])
    assert summary.finished == 1
    assert is_empty(tmp_path / LOGS)
    assert list(Failures(tmp_path).digests()) == []


def test_a_run_without_a_record_has_failed(fakes: Any, go: Go) -> None:
    summary, events = go(fakes.Forgetful(), workers=1, groups=ALONE[:1])
    assert summary.finished == 0
    assert "its inputs changed" in summary.failures[0].reason
    assert not any(isinstance(event, Finished) for event in events)


def test_workers_that_cannot_start_end_the_grid(fakes: Any, go: Go) -> None:
    with pytest.raises(LauncherError, match=r"cannot start: its process ended with exit code \d"):
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
        do_runs(ALONE, store, launcher, interrupt)
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert store.digests() == set()
    assert is_empty(tmp_path / LOGS)
    assert is_empty(tmp_path / LEASES)


class InThisProcess:
    """The smallest launcher."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def execute(self, queue: WorkQueue) -> Generator[Event, None, None]:
        while claim := queue.take():
            (run,) = claim.missing
            yield Started(run, 0)
            (self.folder / run.spec.digest).mkdir()
            (self.folder / run.spec.digest / "record.json").write_text('{"version": 1, "accuracy": {"a": 0.25}}')
            yield Finished(run, 0, 0.25, 1.0)
            queue.settle(claim)
        yield from queue.news()


def test_a_launcher_of_another_kind_does(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    prepare(store)
    summary = do_runs(ALONE, store, InThisProcess(tmp_path), lambda event: None)
    assert summary.finished == 6
    assert missing(RUNS, store) == []


def test_a_process_that_dies_once_harms_nothing(fakes: Any, go: Go, tmp_path: Path) -> None:
    summary, events = go(fakes.FakeJob(tmp_path, fails="killed once"))
    assert (summary.finished, summary.failures) == (6, ())
    (repeated,) = [event for event in events if isinstance(event, Repeated)]
    assert repeated.run == RUNS[1]
    assert repeated.reason == "its process was killed by SIGKILL (out of memory?); trying again"


def test_a_group_is_done_together(fakes: Any, go: Go, tmp_path: Path) -> None:
    summary, events = go(fakes.FakeJob(tmp_path), groups=[tuple(RUNS[:4]), tuple(RUNS[4:])])
    assert summary.finished == 6
    assert {seed: note["together"] for seed, note in notes(tmp_path).items()} == {
        **{seed: [0, 1, 2, 3] for seed in range(4)},
        **{seed: [4, 5] for seed in (4, 5)},
    }
    started = [event for event in events if isinstance(event, Started)]
    assert sorted((event.run.spec.seed, event.others) for event in started) == [(0, 3), (4, 1)]


def test_a_group_of_which_runs_are_missing_is_done_whole_and_keeps_its_records(
    fakes: Any, go: Go, tmp_path: Path
) -> None:
    go(fakes.FakeJob(tmp_path), groups=ALONE[:2])
    before = notes(tmp_path)
    summary, events = go(fakes.FakeJob(tmp_path), groups=[tuple(RUNS[:3]), tuple(RUNS[3:])])
    after = notes(tmp_path)
    assert {seed: after[seed] for seed in before} == before
    assert after[2]["together"] == [0, 1, 2]
    assert summary.finished == 4
    assert sorted(event.run.spec.seed for event in events if isinstance(event, Finished)) == [2, 3, 4, 5]


def test_what_a_process_saved_before_it_died_is_reported(fakes: Any, go: Go, tmp_path: Path) -> None:
    summary, events = go(fakes.FakeJob(tmp_path, fails="killed after the first"), workers=1, groups=[tuple(RUNS[:3])])
    assert notes(tmp_path).keys() == {0, 1, 2}
    assert (summary.finished, summary.elsewhere, summary.failures) == (2, 1, ())
    ended = [event.run.spec.seed for event in events if isinstance(event, Finished | FinishedElsewhere)]
    assert sorted(ended) == [0, 1, 2]


@pytest.mark.parametrize("fails", ["raises", "killed"])
def test_a_group_that_fails_is_done_run_by_run(fakes: Any, go: Go, tmp_path: Path, fails: str) -> None:
    summary, _ = go(fakes.FakeJob(tmp_path, fails=fails), groups=[tuple(RUNS[:3]), tuple(RUNS[3:])])
    (failure,) = summary.failures
    assert failure.run == RUNS[1]
    found = notes(tmp_path)
    assert set(found) == set(SEEDS) - {1}
    assert found[0]["together"] == [0]
    assert found[3]["together"] == [3, 4, 5]


def test_a_full_disk_ends_the_grid_and_keeps_what_is_done(fakes: Any, go: Go, tmp_path: Path) -> None:
    with pytest.raises(UnwritableStoreError, match=r"No space left on device.*nothing more can be kept"):
        go(fakes.FakeJob(tmp_path, fails="full disk"), workers=1)
    assert set(notes(tmp_path)) == {0}
    assert is_empty(tmp_path / LEASES)
    assert go(fakes.FakeJob(tmp_path))[0].finished == 5


def test_what_another_runner_does_is_waited_for_and_told(fakes: Any, go: Go, tmp_path: Path) -> None:
    """The other holds the lease of one run, which it finishes, and of one that fails."""
    from tfew_pl.leases import Leases

    store = RunStore(tmp_path)
    prepare(store)
    events: list[Event] = []
    with Leases(tmp_path / LEASES) as other:
        assert other.take([RUNS[0].spec.digest, RUNS[1].spec.digest])

        def observe(event: Event) -> None:
            events.append(event)
            if len([e for e in events if isinstance(e, Finished)]) == 4 and isinstance(event, Finished):
                fakes.FakeJob(tmp_path)([RUNS[0].spec], lambda *_: None)
                Failures(tmp_path).note(RUNS[1].spec.digest, Failure("x", "it was too large", "a.log", 3.0))
                other.release([RUNS[0].spec.digest, RUNS[1].spec.digest])

        launcher = LocalWorkers(fakes.FakeJob(tmp_path), [{}] * 2, tmp_path / LOGS)
        summary = do_runs(ALONE, store, launcher, observe)
    assert (summary.finished, summary.elsewhere) == (4, 1)
    assert [event for event in events if isinstance(event, FinishedElsewhere)] == [FinishedElsewhere(RUNS[0], 0.0)]
    assert summary.failures == (Failed(RUNS[1], None, "it was too large", 3.0, Path("a.log")),)


def test_a_failure_of_an_earlier_grid_is_tried_again(fakes: Any, go: Go, tmp_path: Path) -> None:
    digest = RUNS[0].spec.digest
    prepare(RunStore(tmp_path))
    Failures(tmp_path).note(digest, Failure("x", "the network was down", "a.log", 3.0))
    os.utime(tmp_path / "failures" / f"{digest}.json", (0, 0))
    summary, _ = go(fakes.FakeJob(tmp_path))
    assert (summary.finished, summary.failures) == (6, ())
    assert Failures(tmp_path).get(digest) is None


def test_who_does_a_run_can_be_seen(fakes: Any, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    prepare(store)
    seen: list[dict[str, Any]] = []

    def look(event: Event) -> None:
        if isinstance(event, Started):
            seen.append({name: owner.process for name, owner in holders(tmp_path / LEASES).items()})

    do_runs(ALONE[:1], store, LocalWorkers(fakes.FakeJob(tmp_path), [{}], tmp_path / LOGS), look)
    assert seen == [{RUNS[0].spec.digest: os.getpid()}]


def test_a_store_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableStoreError, match=r"^cannot write to the store .*: Not a directory$"):
        prepare(RunStore(tmp_path / "file" / "store"))
