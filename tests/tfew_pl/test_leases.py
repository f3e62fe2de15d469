import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfew_pl import leases as module
from tfew_pl.leases import Leases, abandoned, holders

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Leases]:
    with Leases(tmp_path, expiry=50) as leases:
        yield leases


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Leases]:
    with Leases(tmp_path, expiry=50) as leases:
        yield leases


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def make_foreign(folder: Path, name: str, machine: str = "another machine", age: float = 0.0) -> Path:
    """A lease of an owner on another machine."""
    lease = folder / f"{name}.0"
    owner = {"host": "far", "machine": machine, "process": os.getpid(), "started": "1"}
    lease.write_text(json.dumps(owner))
    now = (folder / "clock").stat().st_mtime if (folder / "clock").exists() else lease.stat().st_mtime
    os.utime(lease, (now - age, now - age))
    return lease


def test_a_lease_is_held_by_one_at_a_time(mine: Leases, other: Leases) -> None:
    assert mine.take(["a"])
    assert not other.take(["a"])
    assert other.take(["b"])
    mine.release(["a"])
    assert other.take(["a"])


def test_several_are_taken_together_or_not_at_all(mine: Leases, other: Leases, tmp_path: Path) -> None:
    assert mine.take(["b"])
    assert not other.take(["a", "b", "c"])
    assert names(tmp_path) == ["b.0"]
    mine.release(["b"])
    assert other.take(["a", "b", "c"])


def test_a_lease_is_not_taken_twice_by_its_owner(mine: Leases) -> None:
    assert mine.take(["a"])
    assert not mine.take(["a"])


def test_at_the_end_everything_is_given_back(tmp_path: Path) -> None:
    with Leases(tmp_path) as leases:
        leases.take(["a", "b"])
        owners = holders(tmp_path)
        assert set(owners) == {"a", "b"}
        assert owners["a"].process == os.getpid()
        assert str(owners["a"]).startswith(f"process {os.getpid()} on ")
    assert list(tmp_path.iterdir()) == []


def test_what_an_interruption_left_half_taken_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come when the link is made and not yet noted."""
    link = os.link

    def interrupted(source: Path, target: Path) -> None:
        link(source, target)
        raise KeyboardInterrupt

    def work() -> None:
        with Leases(tmp_path) as leases:
            assert leases.take(["a"])
            monkeypatch.setattr(module.os, "link", interrupted)
            leases.take(["b"])

    make_foreign(tmp_path, "c")
    with pytest.raises(KeyboardInterrupt):
        work()
    assert [path.name for path in tmp_path.iterdir()] == ["c.0"], "all of its own is gone, another's lease stays"


def test_a_dead_process_of_this_machine_holds_nothing(mine: Leases, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from tfew_pl.leases import Leases\n"
        "leases = Leases(Path(sys.argv[1])).__enter__()\n"
        "assert leases.take(['a', 'b'])\n"
        "print('taken', flush=True); signal.pause()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        assert not mine.take(["a"])
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # now it is a zombie: what it held is free
        assert mine.take(["a"])
    assert mine.take(["b"])
    assert names(tmp_path) == ["a.1", "b.1"]
    assert {owner.process for owner in holders(tmp_path).values()} == {os.getpid()}
    with Leases(tmp_path):
        files = [path for path in tmp_path.iterdir() if path.name.startswith(".owner-")]
        assert len(files) == 2, "the dead process's own file is removed by the next who comes"


def test_a_later_process_with_the_same_number_is_another(mine: Leases, tmp_path: Path) -> None:
    assert mine.take(["a"])
    owner = json.loads((tmp_path / "a.0").read_text())
    mine.release(["a"])
    make_foreign(tmp_path, "a", machine=owner["machine"])
    assert mine.take(["a"])


def test_an_owner_elsewhere_is_dead_when_its_heart_has_stopped(mine: Leases, tmp_path: Path) -> None:
    make_foreign(tmp_path, "young", age=40)
    make_foreign(tmp_path, "old", age=60)
    assert not mine.take(["young"])
    assert mine.take(["old"])
    assert names(tmp_path) == ["old.1", "young.0"]


def test_the_heart_beats(tmp_path: Path) -> None:
    with Leases(tmp_path, expiry=0.1) as leases:
        assert leases.take(["a"])
        os.utime(tmp_path / "a.0", (0, 0))
        for _ in range(200):
            if (tmp_path / "a.0").stat().st_mtime > 0:
                break
            leases._end.wait(0.01)
        assert (tmp_path / "a.0").stat().st_mtime > 0


def test_clocks_need_not_agree(mine: Leases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_foreign(tmp_path, "a")
    monkeypatch.setattr("time.time", lambda: 1e12)
    assert not mine.take(["a"])


def test_a_lease_cut_short_by_a_full_disk_expires(mine: Leases, tmp_path: Path) -> None:
    (tmp_path / "a.0").write_text('{"host"')
    assert not mine.take(["a"])
    os.utime(tmp_path / "a.0", (0, 0))
    assert mine.take(["a"])
    assert holders(tmp_path).keys() == {"a"}


def test_two_who_take_over_at_the_same_time_do_not_both_get_it(
    mine: Leases, other: Leases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other takes it over between this one's look and its link."""
    make_foreign(tmp_path, "a", age=60)
    link = os.link

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(module.os, "link", link)
        assert other.take(["a"])
        link(source, target)

    monkeypatch.setattr(module.os, "link", late)
    assert not mine.take(["a"])
    assert holders(tmp_path).keys() == {"a"}


def test_a_generation_that_was_not_seen_is_respected(
    mine: Leases, other: Leases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing of a folder that is being changed may miss what moves."""
    make_foreign(tmp_path, "a", age=60)
    assert other.take(["a"])
    seen = [{}, module._generations(tmp_path, "a")]
    monkeypatch.setattr(module, "_generations", lambda *_: seen.pop(0))
    assert not mine.take(["a"])
    assert names(tmp_path) == ["a.1"]


def test_an_answer_lost_on_the_network_is_no_refusal(mine: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def deaf(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError

    monkeypatch.setattr(module.os, "link", deaf)
    assert mine.take(["a"])


def test_a_lease_given_back_between_two_looks_is_not_taken(
    mine: Leases, other: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows why it was given back; a moment later it can be taken."""

    def late(source: Path, target: Path) -> None:
        raise FileExistsError

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "link", late)
        assert not mine.take(["a"])
    assert mine.take(["a"])


def test_who_was_taken_for_dead_goes_on(tmp_path: Path) -> None:
    """Paused for so long that somebody has removed its file; of its leases one was taken over."""
    with Leases(tmp_path, expiry=1e-9) as mine:
        mine._end.set()  # the heart stands still
        assert mine.take(["a", "b"])
        (own,) = tmp_path.glob(".owner-*")
        own.unlink()
        (tmp_path / "b.0").unlink()
        make_foreign(tmp_path, "b")
        os.utime(tmp_path / "a.0", (0, 0))
        mine._touch()
        assert (tmp_path / "a.0").stat().st_mtime > 0  # its lease lives again
        own.unlink()
        mine.release(["a"])
        assert mine.take(["c"])
        assert (tmp_path / "c.0").samefile(own)
    assert names(tmp_path) == ["b.0"]
    assert list(tmp_path.glob(".owner-*")) == []


def test_without_proc_a_process_is_asked_whether_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert module._started(os.getpid()) == ""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert module._started(process.pid) is None


def test_a_process_that_is_not_shown_is_judged_by_its_heart(
    mine: Leases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /proc shows each user their own processes only."""
    machine = json.loads(next(tmp_path.glob(".owner-*")).read_text())["machine"]
    for name, age in (("young", 40), ("old", 60)):
        make_foreign(tmp_path, name, machine=machine, age=age)
    read = Path.read_text

    def hidden(path: Path, **how: str) -> str:
        if path.parts[:2] == ("/", "proc"):
            raise FileNotFoundError
        return read(path, **how)

    def others(process: int, sent: int) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", hidden)
    monkeypatch.setattr(module.os, "kill", others)
    assert not mine.take(["young"])
    assert mine.take(["old"])


def test_what_the_dead_left_and_nothing_else_is_abandoned(mine: Leases, other: Leases, tmp_path: Path) -> None:
    assert mine.take(["mine"])
    make_foreign(tmp_path, "living", age=200)
    dead = make_foreign(tmp_path, "dead", age=400)
    gone = make_foreign(tmp_path, "gone", machine=module._machine())
    cut = tmp_path / ".owner-cut"
    cut.write_text("{")
    assert abandoned(tmp_path) == sorted([dead, gone])
    os.utime(cut, (0, 0))
    assert abandoned(tmp_path) == sorted([cut, dead, gone])
    assert holders(tmp_path).keys() == {"mine", "living"}
    assert abandoned(tmp_path / "nowhere") == []


def test_holders_are_judged_by_the_clock_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_foreign(tmp_path, "a")
    monkeypatch.setattr("time.time", lambda: 1e12)
    assert holders(tmp_path).keys() == {"a"}
    assert abandoned(tmp_path) == []
