"""How long the runs that are left will take, from those that are done."""

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
        self._ended: Counter[str] = Counter()
        self._seconds: dict[str, float] = defaultdict(float)

    def finished(self, run: GridRun, seconds: float) -> None:
        """Takes note of a finished run."""
        self._left[run.variant] -= 1
        self._ended[run.variant] += 1
        self._seconds[run.variant] += seconds

    def ended(self, run: GridRun) -> None:
        """Takes note of a run whose time says nothing of the others: it failed, or somebody else did it."""
        self._left[run.variant] -= 1

    def seconds(self, underway: float = 0.0) -> float | None:
        """Seconds until the last run ends; None while nothing is known.

        Args:
            underway: seconds that have gone into the runs underway, together.
        """
        ended = self._ended.total()
        if not ended:
            return None
        overall = sum(self._seconds.values()) / ended
        work = sum(
            count * (self._seconds[variant] / self._ended[variant] if self._ended[variant] else overall)
            for variant, count in self._left.items()
        )
        return max(0.0, work - underway) / max(1, min(self._workers, self._left.total()))
