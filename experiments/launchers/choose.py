"""The launcher that the command line asks for."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from experiments.groups import SLOTS, Group
from experiments.job import RunAndSave
from experiments.launchers.errand import Errand
from experiments.launchers.launcher import Launcher
from experiments.launchers.local import LocalWorkers
from experiments.launchers.remote import Cluster, RemoteRunners
from experiments.placement import placement
from tfew_pl.errors import UserError
from tfew_pl.loggers import LogTo
from tfew_pl.matmul_precision import Choice as MatmulPrecision
from tfew_pl.naming import look_up
from tfew_pl.store import LOGS, RunStore

LAUNCHERS = ("local", "ray", "slurm")
"""Names of the launchers."""
JOBS = "slurm"
"""Folder of the store for the scripts and logs of Slurm's jobs."""


@dataclass(frozen=True)
class How:
    """How the runs of a grid are done: on what, and how much at a time. No more than rounding depends on it."""

    launcher: str = "local"
    options: tuple[str, ...] = ()
    """Of the launcher, each KEY=VALUE."""
    workers: int | None = None
    threads: int | None = None
    slots: int = SLOTS
    """Most runs that are trained together."""
    retries: int = 2
    """How often runs are done again whose process died."""
    checkpoint_every: int = 100
    """Steps after which a training's state is kept; 0 for never."""
    loggers: tuple[str, ...] = ()
    """Of the trainings, by name."""
    matmul_precision: MatmulPrecision = "auto"
    """Of fp32 products."""
    compiled: bool = False
    """Whether trainings are compiled."""


class Chosen(NamedTuple):
    """A launcher, and what it will use."""

    launcher: Launcher
    workers: int
    summary: str


def choose_launcher(
    how: How, groups: Sequence[Group], left: int, store: RunStore, keep_adaptations: bool = True
) -> Chosen:
    """The launcher of that name, ready for the groups of a grid.

    Args:
        how: what the command line says.
        groups: of all runs.
        left: how many groups are to be done.
        store: of the records.
        keep_adaptations: whether records keep what was trained.

    Raises:
        UserError: the launcher or a logger is unknown or not installed, an option does not fit, or there is nothing
            to compile with.
    """
    look_up("launcher", how.launcher, dict.fromkeys(LAUNCHERS))
    store = RunStore(store.folder.absolute())
    LogTo(how.loggers, store.folder).check()
    if how.compiled:
        from tfew_pl.compiled import require_compiler

        require_compiler()

    def job(threads: int) -> RunAndSave:
        return RunAndSave(
            store.folder,
            threads,
            keep_adaptations=keep_adaptations,
            checkpoint_every=how.checkpoint_every,
            loggers=how.loggers,
            matmul_precision=how.matmul_precision,
            compiled=how.compiled,
        )

    options = _options(how.options)
    if how.launcher == "local":
        if options:
            raise UserError(f"--launcher-option {next(iter(options))}: the local launcher has no options")
        place = placement(how.workers, how.threads, left)
        launcher = LocalWorkers(job(place.threads), place.environments, store.folder / LOGS, how.retries)
        return Chosen(launcher, len(place.environments), place.summary)
    if how.workers is None:
        raise UserError(f"--launcher {how.launcher}: say with --workers how many runners to start")
    threads, gpus = how.threads or 1, options.pop("gpus", 0)
    if gpus not in (0, 1):
        raise UserError(f"--launcher-option gpus={gpus}: a runner uses one GPU or none; start more --workers")
    count = min(how.workers, left)
    errand = Errand(tuple(groups), store, job(threads), threads, how.retries)
    remote = RemoteRunners(_cluster(how.launcher, store, threads, gpus, options), errand, count)
    return Chosen(remote, count, f"with {count} runners through {how.launcher}")


def _cluster(name: str, store: RunStore, threads: int, gpus: int, options: dict[str, Any]) -> Cluster:
    if name == "slurm":
        from experiments.launchers.slurm_cluster import SlurmCluster

        return SlurmCluster(store.folder / JOBS, threads, gpus, options)
    from experiments.launchers.ray_cluster import RayCluster

    address = options.pop("address", None)
    if options:
        raise UserError(f"--launcher-option {next(iter(options))}: Ray's options are address and gpus")
    return RayCluster(threads, gpus, address)


def _options(texts: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UserError(f"--launcher-option {text}: expected KEY=VALUE")
        options[key] = _number(value)
    return options


def _number(text: str) -> int | float | str:
    """The number that a text writes; an account's name that begins with 0 stays a text."""
    for kind in (int, float) if text[:1].isdigit() else ():
        with suppress(ValueError):
            if str(number := kind(text)) == text:
                return number
    return text
