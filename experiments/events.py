"""What happens to the runs of a grid: launchers tell it, the runner counts it, displays show it."""

from dataclasses import dataclass
from pathlib import Path

from experiments.grid import GridRun


@dataclass(frozen=True)
class Started:
    """A worker begins a run."""

    run: GridRun
    worker: int


@dataclass(frozen=True)
class Progressed:
    """A run has come further."""

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


@dataclass(frozen=True)
class Failed:
    """A run raised, or its worker died."""

    run: GridRun
    worker: int
    reason: str
    """One line."""
    seconds: float
    log: Path
    """What the run wrote, its traceback included."""


Event = Started | Progressed | Finished | Failed
