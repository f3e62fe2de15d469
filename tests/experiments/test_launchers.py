"""The launchers of other machines: a Ray cluster of two nodes and a Slurm of one, both real, both on this machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
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
