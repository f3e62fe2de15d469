"""Showing how a grid goes: live in a terminal, a line a run elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column

from experiments.events import Event, Failed, Finished, FinishedElsewhere, Progressed, Repeated, Started
from experiments.grid import GridRun
from experiments.time_left import TimeLeft
from tfew_pl.processes import is_first
from tfew_pl.spec import ZERO_SHOT

_BAR = 24


class Display(AbstractContextManager["Display"], Protocol):
    """What shows the events of a grid; it is entered before the first."""

    def __call__(self, event: Event) -> None:
        """Shows an event."""


def choose_display(runs: Sequence[GridRun], workers: int) -> "Display":
    """The display that fits standard output.

    Args:
        runs: what will be done.
        workers: how many do it.
    """
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(runs, workers, console)
    return LineDisplay(runs, workers, Console(file=sys.stdout, width=1000, highlight=False, color_system=None))


def duration(seconds: float) -> str:
    """A duration for a person: 9.3 s, 48 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def title(run: GridRun, others: int = 0) -> str:
    """A run in a few words, beside the others of its grid, and how many are done with it."""
    seed = "" if run.spec.method == ZERO_SHOT else f", seed {run.spec.seed}"
    return f"{run.variant}, {run.spec.task}{seed}" + (f" and {others} more" if others else "")


@contextmanager
def show_progress(name: str) -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error for a single run, if that is a terminal; gives what moves it.

    Args:
        name: what the run is called.
    """
    console = Console(stderr=True, highlight=False)
    with Progress(
        TextColumn("{task.description}"),
        TextColumn("{task.fields[stage]}", style="dim"),
        BarColumn(_BAR),
        TaskProgressColumn(),
        console=console,
        transient=True,
        disable=not (console.is_terminal and is_first()),
    ) as bar:
        task = bar.add_task(escape(name), total=1.0, stage="loading")
        yield lambda stage, fraction: bar.update(task, completed=fraction, stage=stage)


def _share(accuracy: float) -> str:
    return "no labels" if math.isnan(accuracy) else f"{100 * accuracy:.1f} %"


class _Counts:
    """What has happened so far, and the line that says so."""

    def __init__(self, runs: Sequence[GridRun], workers: int) -> None:
        self.total = len(runs)
        self.ended = 0
        self.failed = 0
        self._started: dict[str, float] = {}
        self._left = TimeLeft(runs, workers)

    def note(self, event: Event) -> None:
        digest = event.run.spec.digest
        if isinstance(event, Started):
            self._started[digest] = time.monotonic()
        elif not isinstance(event, Progressed):
            self._started.pop(digest, None)
        match event:
            case Finished():
                self._left.finished(event.run, event.seconds)
            case FinishedElsewhere():
                self._left.ended(event.run)
            case Failed():
                self._left.ended(event.run)
                self.failed += 1
        self.ended += isinstance(event, Finished | FinishedElsewhere | Failed)

    def time_left(self) -> str:
        now = time.monotonic()
        seconds = self._left.seconds(sum(now - start for start in self._started.values()))
        return "" if seconds is None or self.ended == self.total else f"{duration(seconds)} left"

    def line(self, event: "_Told") -> str:
        """A line on a run that has ended, or has to be repeated; rich's markup is escaped."""
        width = len(str(self.total))
        number = escape(f"[{self.ended:{width}}/{self.total}]")
        name = escape(title(event.run, event.others if isinstance(event, Repeated) else 0))
        match event:
            case Finished():
                return f"{number} {name}: {_share(event.accuracy)} in {duration(event.seconds)}"
            case FinishedElsewhere():
                return f"{number} {name}: {_share(event.accuracy)}, by another runner"
            case Repeated():
                return f"{number} {name}: [yellow]lost[/] after {duration(event.seconds)}: {escape(event.reason)}"
            case Failed(worker=None):
                return f"{number} {name}: [bold red]failed[/], in another runner: {escape(event.reason)}"
        return f"{number} {name}: [bold red]failed[/] after {duration(event.seconds)}: {escape(event.reason)}"


_Told = Finished | FinishedElsewhere | Repeated | Failed
"""The events of which a line is kept."""


class LineDisplay(AbstractContextManager["LineDisplay"]):
    """A line for every run that ends, for logs and pipes.

    Args:
        runs: what will be done.
        workers: how many do it.
        console: where to write.
    """

    def __init__(self, runs: Sequence[GridRun], workers: int, console: Console) -> None:
        self._console = console
        self._counts = _Counts(runs, workers)

    def __call__(self, event: Event) -> None:
        """Writes a line if the event ends a run, or has it repeated."""
        self._counts.note(event)
        if isinstance(event, _Told):
            left = self._counts.time_left()
            self._console.print(self._counts.line(event) + (f"; {left}" if left else ""), soft_wrap=True)
            self._console.file.flush()

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """A bar for all runs, a line for every worker, and above them the runs that have ended.

    Args:
        runs: what will be done.
        workers: how many do it.
        console: of the terminal.
    """

    def __init__(self, runs: Sequence[GridRun], workers: int, console: Console) -> None:
        self._counts = _Counts(runs, workers)
        self._all = Progress(
            TextColumn("[bold]{task.completed}/{task.total} runs"),
            BarColumn(_BAR, finished_style="green"),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
            console=console,
        )
        self._overall = self._all.add_task("", total=len(runs), note=_LiveNote(self._counts))
        self._each = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, ratio=1)),
            TextColumn("{task.fields[stage]}", style="dim", table_column=Column(no_wrap=True, min_width=10)),
            BarColumn(_BAR // 2),
            TaskProgressColumn(),
            console=console,
        )
        self._tasks: dict[int, TaskID] = {}
        self._live = Live(Group(self._all, self._each), console=console, refresh_per_second=4)

    def __enter__(self) -> Self:
        """Starts drawing."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Draws the last state, without the workers, and ends."""
        for task in self._tasks.values():
            self._each.remove_task(task)
        self._tasks.clear()
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Shows an event at the next drawing, the end of a run at once."""
        self._counts.note(event)
        worker = None if isinstance(event, FinishedElsewhere) else event.worker
        task = None if worker is None else self._tasks.get(worker)
        match event:
            case Started():
                if task is None:
                    task = self._tasks[event.worker] = self._each.add_task("", total=1.0, stage="")
                name = escape(title(event.run, event.others))
                self._each.reset(task, total=1.0, description=name, stage="loading")
            case Progressed() if task is not None:
                self._each.update(task, completed=event.fraction, stage=event.stage)
            case Finished() | FinishedElsewhere() | Repeated() | Failed():
                if task is not None:
                    self._each.update(task, completed=0, description="[dim]idle", stage="")
                self._all.update(self._overall, completed=self._counts.ended)
                self._live.console.print(self._counts.line(event))


class _LiveNote:
    """What stands beside the overall bar; made anew at each drawing, so that the time left runs down."""

    def __init__(self, counts: _Counts) -> None:
        self._counts = counts

    def __format__(self, _: str) -> str:
        failed = f"[bold red]{self._counts.failed} failed[/]" if self._counts.failed else ""
        return ", ".join(part for part in (self._counts.time_left(), failed) if part)
