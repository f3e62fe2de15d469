"""The launchers of other machines: a Ray cluster of two nodes and a Slurm of one, both real, both on this machine."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.events import Event, Failed, FinishedElsewhere, Started
from experiments.grid import GridRun
from experiments.groups import Group
from experiments.launchers.choose import How, choose_launcher
from experiments.launchers.errand import Errand
from experiments.launchers.launcher import LauncherError
from experiments.launchers.local import LocalWorkers
from experiments.launchers.remote import RemoteRunners
from experiments.runner import Summary, do_runs, prepare
from tfew_pl.errors import UserError
from tfew_pl.leases import holders
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests" / "experiments" / "fakes"
RUNS = [GridRun("A", RunSpec("rte", seed=seed)) for seed in range(8)]
GROUPS: list[Group] = [(run,) for run in RUNS]
REQUIRED = "TFEW_TEST_SLURM"
"""Set where Slurm and Ray must be there, so that their tests cannot be skipped."""


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of fake jobs, importable here and in every process that is started from here."""
    monkeypatch.syspath_prepend(str(FAKES))
    paths = [str(FAKES), str(ROOT), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(dict.fromkeys(paths)))
    import fake_job

    yield fake_job
    del sys.modules["fake_job"]


def errand(store: Path, job: Any) -> Errand:
    return Errand(tuple(GROUPS), RunStore(store), job, threads=1, retries=0)


def go(cluster: Any, the_errand: Errand, count: int) -> tuple[Summary, list[Event]]:
    prepare(the_errand.store)
    events: list[Event] = []
    launcher = RemoteRunners(cluster, the_errand, count)
    return do_runs(GROUPS, the_errand.store, launcher, events.append), events


def check(store: Path, summary: Summary, events: list[Event]) -> None:
    """All runs were done, each once, by processes of several runners; the one with seed 1 failed."""
    notes = [json.loads(path.read_text()) for path in store.glob("[!.]*/record.json")]
    assert sorted(note["seed"] for note in notes) == [0, 2, 3, 4, 5, 6, 7]
    assert len({note["pid"] for note in notes}) > 1
    assert (summary.finished, summary.elsewhere) == (0, 7)
    (failure,) = summary.failures
    assert (failure.run, failure.reason) == (RUNS[1], "ValueError: a loss is not a number")
    assert "_fail" in failure.log.read_text()
    ended = [event.run.spec.seed for event in events if isinstance(event, FinishedElsewhere | Failed)]
    assert sorted(ended) == list(range(8))
    assert any(isinstance(event, Started) for event in events)
    assert list((store / "leases").iterdir()) == []


@pytest.fixture
def ray_address(fakes: Any) -> Iterator[str]:
    """A Ray cluster of two nodes with a processor each."""
    if not os.environ.get(REQUIRED):
        pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore")  # Ray's own, of sockets and of its future
def test_ray_does_the_runs_on_two_nodes(fakes: Any, ray_address: str, tmp_path: Path) -> None:
    from experiments.launchers.ray_cluster import RayCluster

    job = fakes.FakeJob(tmp_path / "store", "raises", 0.3)
    cluster = RayCluster(threads=1, address=ray_address)
    summary, events = go(cluster, errand(tmp_path / "store", job), 2)
    check(tmp_path / "store", summary, events)


@pytest.fixture
def slurm() -> None:
    """A Slurm that takes jobs."""
    if shutil.which("sbatch") and subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0:
        return
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, and there is no Slurm: .ci/slurm installs and starts one")
    pytest.skip("there is no Slurm on this machine: .ci/slurm installs and starts one")


@pytest.mark.cluster
def test_slurm_does_the_runs_as_an_array(fakes: Any, slurm: None, tmp_path: Path) -> None:
    from experiments.launchers.slurm_cluster import SlurmCluster

    job = fakes.FakeJob(tmp_path / "store", "raises", 0.3)
    cluster = SlurmCluster(tmp_path / "jobs", threads=1, options={"timeout_min": 5})
    summary, events = go(cluster, errand(tmp_path / "store", job), 2)
    check(tmp_path / "store", summary, events)


@pytest.mark.cluster
def test_runners_that_slurm_ends_give_their_leases_back(fakes: Any, slurm: None, tmp_path: Path) -> None:
    from experiments.launchers.slurm_cluster import SlurmCluster

    store = tmp_path / "store"
    prepare(RunStore(store))
    cluster = SlurmCluster(tmp_path / "jobs", threads=1, options={"timeout_min": 5})
    cluster.start(errand(store, fakes.FakeJob(store, "succeeds", 60)), 1)

    def wait_for(what: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not what() and time.monotonic() < end:
            time.sleep(0.1)
        assert what()

    wait_for(lambda: any("output of" in log.read_text() for log in (store / "logs").iterdir()))  # a worker is at work
    assert holders(store / "leases")
    cluster.stop()
    wait_for(lambda: not holders(store / "leases"))  # of the living
    assert list((store / "leases").iterdir()) == []


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Has an array submitted to a Slurm that only writes down what it is given, and returns the script."""
    pytest.importorskip("submitit")
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / "sbatch"
    script.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/script\necho "Submitted batch job 7"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")

    def submit(job: Any, *options: str) -> str:
        how = How("slurm", options, workers=2)
        chosen = choose_launcher(how, GROUPS, 8, RunStore(tmp_path / "store"))
        assert isinstance(chosen.launcher, RemoteRunners)
        chosen.launcher._cluster.start(errand(tmp_path / "store", job), 2)
        return (tmp_path / "script").read_text()

    return submit


def test_options_reach_slurm_as_they_are(fakes: Any, submitted: Callable[..., str], tmp_path: Path) -> None:
    options = ("name=mine", "slurm_account=0042", "slurm_setup=module load cuda", "mem_gb=1.5", "timeout_min=7")
    script = submitted(fakes.FakeJob(tmp_path), *options)
    lines = script.splitlines()
    for expected in ("--job-name=mine", "--account=0042", "--mem=1536MB", "--time=7"):
        assert f"#SBATCH {expected}" in lines
    assert lines.index("trap '' TERM") < lines.index("module load cuda")


@pytest.mark.parametrize("option", ["slurm_additional_parameters=x", "mem_gb=much", "no_such=1"])
def test_an_option_that_submitit_refuses_is_one_message(
    fakes: Any, submitted: Callable[..., str], tmp_path: Path, option: str
) -> None:
    with pytest.raises(UserError, match=r"^--launcher-option: .*") as caught:
        submitted(fakes.FakeJob(tmp_path), option)
    assert "\n" not in str(caught.value)


def test_ray_waits_for_no_node_that_is_too_small() -> None:
    pytest.importorskip("ray")
    from experiments.launchers.ray_cluster import RayCluster

    nodes = [{"Alive": True, "Resources": {"CPU": 4.0}}, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 1.0}}]
    RayCluster(threads=4)._check_room(nodes)
    for cluster, message in (
        (RayCluster(threads=5), "needs 5 processors, and the cluster's nodes have at most 4"),
        (RayCluster(threads=1, gpus=1), "needs 1 GPUs, and the cluster's nodes have at most 0"),
    ):
        with pytest.raises(LauncherError, match=message):
            cluster._check_room(nodes)


@pytest.mark.cluster
def test_runners_that_die_in_slurm_end_the_grid_with_the_reason(fakes: Any, slurm: None, tmp_path: Path) -> None:
    from experiments.launchers.slurm_cluster import SlurmCluster

    cluster = SlurmCluster(tmp_path / "jobs", threads=1, options={"timeout_min": 5})
    with pytest.raises(LauncherError, match=r"no runner is left, and 8 runs are: no log \(.*_log.err\)"):
        go(cluster, errand(tmp_path / "store", fakes.Broken()), 1)


class Here:
    """A cluster of no machine: a runner runs in this process, as soon as it is asked how many there are."""

    def __init__(self, runs: bool) -> None:
        self.runs = runs
        self.stopped = False

    def start(self, errand: Errand, count: int) -> None:
        self.errand = errand

    def running(self) -> int:
        if self.runs:
            self.errand()
        return 0

    def trouble(self) -> str:
        return "its node was lost"

    def stop(self) -> None:
        self.stopped = True


def test_an_errand_is_a_runner(fakes: Any, tmp_path: Path) -> None:
    cluster = Here(runs=True)
    summary, _ = go(cluster, errand(tmp_path, fakes.FakeJob(tmp_path)), 1)
    assert (summary.elsewhere, summary.failures, cluster.stopped) == (8, (), True)


def test_relative_paths_are_those_of_who_sent_the_errand(
    fakes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sender").mkdir()
    monkeypatch.chdir(tmp_path / "sender")
    sent = errand(tmp_path / "store", fakes.FakeJob(Path("../store")))
    monkeypatch.chdir(tmp_path)
    assert sent() == 8
    assert Path.cwd() == tmp_path
    assert RunStore(tmp_path / "store").digests() == {run.spec.digest for run in RUNS}


def test_a_runner_that_starts_late_tries_no_failure_again(fakes: Any, tmp_path: Path) -> None:
    times: list[int] = []

    class Twice(Here):
        """A second runner starts when the first has ended."""

        def running(self) -> int:
            for _ in range(2):
                super().running()
                times.extend(path.stat().st_mtime_ns for path in (tmp_path / "failures").iterdir())
            return 0

    job = fakes.FakeJob(tmp_path, "raises")
    summary, _ = go(Twice(runs=True), errand(tmp_path, job), 1)
    assert len(summary.failures) == 1
    assert len(times) > len(set(times)) == 1
    go(Twice(runs=True), errand(tmp_path, job), 1)
    assert len(set(times)) == 2  # another command has tried it again, once


def test_without_a_runner_the_grid_ends(fakes: Any, tmp_path: Path) -> None:
    cluster = Here(runs=False)
    with pytest.raises(LauncherError, match="no runner is left, and 8 runs are: its node was lost"):
        go(cluster, errand(tmp_path, fakes.FakeJob(tmp_path)), 1)
    assert cluster.stopped


def test_local_is_the_default(tmp_path: Path) -> None:
    chosen = choose_launcher(How(workers=3, loggers=("tensorboard",)), GROUPS, 2, RunStore(tmp_path))
    assert isinstance(chosen.launcher, LocalWorkers)
    assert chosen.workers == 2
    assert chosen.summary.startswith("with 2 workers")


def test_a_grid_is_not_compiled_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfew_pl.compiled.has_compiler", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="--compile needs a C"):
        choose_launcher(How(workers=3, compiled=True), GROUPS, 2, RunStore(tmp_path))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (How("slrum"), "did you mean slurm"),
        (How("ray"), "say with --workers how many"),
        (How("ray", ("partition=gpu",), workers=2), "--launcher-option partition: Ray's options are address and gpus"),
        (How("ray", ("partition",), workers=2), "expected KEY=VALUE"),
        (How("ray", ("gpus=2",), workers=2), "--launcher-option gpus=2: a runner uses one GPU or none"),
        (How("ray", ("gpus=0.5",), workers=2), "--launcher-option gpus=0.5: a runner uses one GPU or none"),
        (How("local", ("gpus=1",)), "the local launcher has no options"),
        (How("local", loggers=("tensorbord",)), "did you mean tensorboard"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_starts(tmp_path: Path, how: How, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_launcher(how, GROUPS, 8, RunStore(tmp_path))


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"needs the package {package}: pip install 'tfew_pl\[{name}\]'"):
        choose_launcher(How(name, workers=2), GROUPS, 8, RunStore(tmp_path))
