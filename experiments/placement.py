"""How many workers a machine gets, and what each may use of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.devices import processors, thread_environment, visible_gpus


@dataclass(frozen=True)
class Placement:
    """The workers of this machine."""

    environments: tuple[Mapping[str, str], ...]
    """Of each worker: threads, and its GPU where there is one."""
    threads: int
    """Of each worker."""
    gpus: int

    @property
    def summary(self) -> str:
        """The same for a person."""
        workers = "1 worker" if len(self.environments) == 1 else f"{len(self.environments)} workers"
        threads = "1 thread each" if self.threads == 1 else f"{self.threads} threads each"
        gpus = {0: "", 1: ", 1 GPU"}.get(self.gpus, f", {self.gpus} GPUs")
        return f"with {workers}, {threads}{gpus}"


def placement(workers: int | None, threads: int | None, runs: int) -> Placement:
    """Distributes the machine.

    Without a GPU a worker has one thread, however many processors are free: the order of sums, and with it
    the last digits of a result, depends on the number of threads, and must not depend on the machine.

    Args:
        workers: how many; None for one a GPU, or one a processor where there is no GPU.
        threads: of each; None for 1, or where there are GPUs for an equal share of the processors.
        runs: how many there are to do; there are no more workers than that.
    """
    gpus = visible_gpus()
    count = min(runs, workers or len(gpus) or processors())
    if threads is None:
        threads = max(1, processors() // count) if gpus else 1
    environments = []
    for number in range(count):
        environment = thread_environment(threads)
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
        environments.append(environment)
    return Placement(tuple(environments), threads, len(gpus))
