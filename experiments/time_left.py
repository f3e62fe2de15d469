"""How long the runs that are left will take, from those that are done."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence

from experiments.grid import GridRun


class TimeLeft:
    """An estimate: a run takes as long as the others of its variant, or of all variants, have taken so far.

    Args:
        runs: what is to be done.
        workers: how many do it.
    """

    def __init__(self, runs: Sequence[GridRun], workers: int) -> None:
        self._left = Counter(run.variant for run in runs)
        self._workers = workers
        self._seconds: dict[str, list[float]] = defaultdict(list)

    def finished(self, run: GridRun, seconds: float) -> None:
        """Takes note of a finished run."""
        self._left[run.variant] -= 1
        self._seconds[run.variant].append(seconds)

    def ended(self, run: GridRun) -> None:
        """Takes note of a run whose time says nothing of the others: it failed, or somebody else did it."""
        self._left[run.variant] -= 1

    def seconds(self, underway: float = 0.0) -> float | None:
        """Seconds until the last run ends; None while nothing is known.

        Args:
            underway: seconds that have gone into the runs underway, together.
        """
        known = [seconds for of_variant in self._seconds.values() for seconds in of_variant]
        if not known:
            return None
        overall = statistics.fmean(known)
        work = sum(
            count * (statistics.fmean(self._seconds[variant]) if self._seconds[variant] else overall)
            for variant, count in self._left.items()
        )
        return max(0.0, work - underway) / max(1, min(self._workers, self._left.total()))
