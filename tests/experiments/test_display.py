import io
from pathlib import Path

import pytest
from rich.console import Console

from experiments.display import LineDisplay, LiveDisplay, choose_display, duration, title
from experiments.events import Event, Failed, Finished, Progressed, Started
from experiments.grid import GridRun
from tfew_pl.spec import ZERO_SHOT, RunSpec

RUNS = [
    GridRun("T-Few", RunSpec("rte", seed=1)),
    GridRun("T-Few", RunSpec("rte", seed=2)),
    GridRun("[bold]Zero", RunSpec("cb", method=ZERO_SHOT)),
]
EVENTS: list[Event] = [
    Started(RUNS[0], 0),
    Progressed(RUNS[0], 0, "training", 0.5),
    Finished(RUNS[0], 0, 0.8125, 12.0),
    Started(RUNS[1], 0),
    Failed(RUNS[1], 0, "ValueError: [red] is no color", 3.25, Path("a.log")),
    Started(RUNS[2], 0),
    Finished(RUNS[2], 0, 0.5, 75.0),
]


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False, color_system=None)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (599.7, "10 min"),
        (3599, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_read_easily(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_a_title_names_the_seed_where_it_matters() -> None:
    assert title(RUNS[0]) == "T-Few, rte, seed 1"
    assert title(GridRun("Zero-shot", RunSpec("cb", method=ZERO_SHOT))) == "Zero-shot, cb"


def test_lines_are_written_for_runs_that_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.display.time.monotonic", lambda: 0.0)
    out = console(terminal=False)
    with LineDisplay(RUNS, 1, out) as display:
        for event in EVENTS:
            display(event)
    assert text(out).splitlines() == [
        "[1/3] T-Few, rte, seed 1: 81.2 % in 12 s; 24 s left",
        "[2/3] T-Few, rte, seed 2: failed after 3.2 s: ValueError: [red] is no color; 12 s left",
        "[3/3] [bold]Zero, cb: 50.0 % in 1 min 15 s",
    ]


def test_the_live_display_shows_workers_counts_and_what_has_ended() -> None:
    out = console(terminal=True)
    with LiveDisplay(RUNS, 1, out) as display:
        for event in EVENTS[:2]:
            display(event)
        display._live.refresh()
        shown = text(out)
        assert "0/3 runs" in shown
        assert "T-Few, rte, seed 1" in shown
        assert "training" in shown
        assert "50%" in shown
        for event in EVENTS[2:6]:
            display(event)
        display._live.refresh()
        shown = text(out)
        assert "2/3 runs" in shown
        assert "12 s left, 1 failed" in shown
        assert "[1/3] T-Few, rte, seed 1: 81.2 % in 12 s" in shown
        assert "[red] is no color" in shown
        assert "[bold]Zero, cb" in shown
        display(EVENTS[6])
    last = [line for line in text(out).splitlines() if "runs" in line][-1]
    assert "3/3 runs" in last
    assert "left" not in last
    assert "1 failed" in last


def test_a_pipe_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    display = choose_display(RUNS, 1)
    assert isinstance(display, LineDisplay)
    display(EVENTS[2])
    assert capsys.readouterr().out == "[1/3] T-Few, rte, seed 1: 81.2 % in 12 s; 24 s left\n"
