"""Runners as tasks of a Ray cluster: one that exists, or this machine."""

import importlib.util
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from experiments.launchers.errand import Errand
from experiments.launchers.launcher import LauncherError
from tfew_pl.errors import UserError

_RESTARTS = 3
"""How often Ray starts a runner again whose node was lost."""


class RayCluster:
    """A Ray cluster.

    Args:
        threads: processors of a runner.
        gpus: of a runner.
        address: of an existing cluster, `auto` for the one of this machine; None for RAY_ADDRESS, or a new one on
            this machine.

    Raises:
        UserError: Ray is not installed.
    """

    def __init__(self, threads: int, gpus: int = 0, address: str | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UserError("--launcher ray needs the package ray: pip install 'tfew_pl[ray]'")
        self._needs = {"num_cpus": threads, "num_gpus": gpus, "max_retries": _RESTARTS}
        self._address = address
        self._runners: list[Any] = []
        self._began = False

    def start(self, errand: Errand, count: int) -> None:
        """Submits the runners; Ray starts each as soon as the cluster has room for it."""
        import ray

        if not ray.is_initialized():
            try:
                ray.init(
                    address=self._address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
                )
            except Exception as error:  # a plain one, where a cluster of this machine does not start in time
                where = f"no Ray cluster at {self._address}" if self._address else "no Ray cluster starts here"
                raise LauncherError(f"{where}: {(str(error).splitlines() or [type(error).__name__])[0]}") from error
            self._began = True
        self._check_room(ray.nodes())
        shared = ray.put(errand)
        task = ray.remote(_do).options(**self._needs)
        self._runners = [task.remote(shared) for _ in range(count)]

    def _check_room(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """Refuses runners for which no node is large enough: Ray would wait for one."""
        rooms = [node["Resources"] for node in nodes if node["Alive"]]
        for resource, what, needed in (("CPU", "processors", "num_cpus"), ("GPU", "GPUs", "num_gpus")):
            most = max((room.get(resource, 0) for room in rooms), default=0)
            if most < self._needs[needed]:
                raise LauncherError(
                    f"a runner needs {self._needs[needed]} {what}, and the cluster's nodes have at most {most:g}: "
                    "see --threads and --launcher-option gpus"
                )

    def running(self) -> int:
        """How many have not ended."""
        import ray

        return len(ray.wait(self._runners, num_returns=len(self._runners), timeout=0)[1])

    def trouble(self) -> str:
        """Of the first that did not end well."""
        import ray

        for runner in self._runners:
            try:
                ray.get(runner, timeout=1)
            except ray.exceptions.RayError as error:
                return f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
        return ""

    def stop(self) -> None:
        """Cancels those that still run; a cluster that was begun here ends."""
        import ray

        for runner in ray.wait(self._runners, num_returns=len(self._runners), timeout=0)[1] if self._runners else ():
            ray.cancel(runner, force=True)
        if self._began:
            ray.shutdown()


def _do(errand: Errand) -> int:
    return errand()
