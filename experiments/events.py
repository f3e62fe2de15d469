"""What happens to the runs of a grid: launchers tell it, the runner counts it, displays show it."""

from dataclasses import dataclass
from pathlib import Path

from experiments.grid import GridRun


@dataclass(frozen=True)
class Started:
    """A worker begins a run, or several together."""

    run: GridRun
    """The first of them."""
    worker: int
    others: int = 0
    """How many there are beside it."""


@dataclass(frozen=True)
class Progressed:
    """A run, and those that are done with it, have come further."""

    run: GridRun
    worker: int
    stage: str
    """`training` or `evaluation`."""
    fraction: float
    """Share of the stage that is done."""


@dataclass(frozen=True)
class Finished:
    """A run's record is in the store."""

    run: GridRun
    worker: int
    accuracy: float
    """Median over templates, a share; NaN where the evaluation examples have no labels."""
    seconds: float
    """An equal share of the time of the runs that were done together."""


@dataclass(frozen=True)
class FinishedElsewhere:
    """Another runner of the store has done a run."""

    run: GridRun
    accuracy: float
    """Median over templates, a share."""


@dataclass(frozen=True)
class Repeated:
    """A worker has lost a run, and it will be done again."""

    run: GridRun
    """The first, where there were several."""
    worker: int
    reason: str
    """One line: how it was lost, and what is done about it."""
    seconds: float
    others: int = 0
    """How many there were beside it."""


@dataclass(frozen=True)
class Failed:
    """A run raised, or the workers that did it died."""

    run: GridRun
    worker: int | None
    """None if it was another runner's."""
    reason: str
    """One line."""
    seconds: float
    log: Path
    """What the run wrote, its traceback included."""


Event = Started | Progressed | Finished | FinishedElsewhere | Repeated | Failed
