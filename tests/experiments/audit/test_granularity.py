"""The granularity test against simulation: no number that can be is refused, and most that cannot are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.audit.granularity import EVALUATION_EXAMPLES, admitted, iqr_reach, steps
from experiments.audit.printed import Printed, cells
from tfew_pl.tasks import TASKS

HALF_UP = 1e-9
"""Python rounds halves to even; printed halves were rounded up."""


def text(value: float, digits: int = 2) -> str:
    return f"{value + HALF_UP:.{digits}f}"


@pytest.mark.parametrize(
    ("values", "median", "quartiles"),
    [(5, 1, 1), (25, 1, 1), (75, 1, 2), (20, 2, 4), (40, 2, 4), (50, 2, 4), (4, 2, 4)],
)
def test_steps_by_hand(values: int, median: int, quartiles: int) -> None:
    # The lower quartile stands at (values - 1) / 4: of 75 at 18.5, of 40 at 9.75, of 25 at 6.
    assert steps(values) == (median, quartiles)


@given(st.integers(1, 80), st.sampled_from(sorted(EVALUATION_EXAMPLES.values())), st.integers(0, 2**32 - 1))
def test_no_false_alarm(values: int, examples: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    accuracies = 100 * generator.binomial(examples, generator.uniform(0.2, 0.98), values) / examples
    low, middle, high = np.quantile(accuracies, (0.25, 0.5, 0.75))
    median, quartiles = (parts * examples for parts in steps(values))
    two = text(middle)
    for printed in (two, text(middle, 1), text(float(two), 1)):
        assert admitted(Printed(printed), median)
    whole, of_rounded = text(high - low), text(float(text(high)) - float(text(low)))
    for printed in (whole, of_rounded, text(float(whole), 1), text(float(of_rounded), 1)):
        number = Printed(printed)
        assert admitted(number, quartiles, iqr_reach(number))


@pytest.mark.parametrize(
    ("printed", "examples", "parts", "fits"),
    [
        ("83.93", 56, 1, True),  # 47 of 56
        ("84.0", 56, 1, False),
        ("62.15", 638, 1, False),  # 396.5 of 638: between two
        ("62.15", 638, 2, True),
        ("34.17", 1000, 1, False),
        ("34.17", 1200, 1, True),  # 410 of 1,200
        ("26.65", 10_042, 1, True),
    ],
)
def test_by_hand(printed: str, examples: int, parts: int, fits: bool) -> None:
    assert admitted(Printed(printed), parts * examples) is fits


def test_a_coarse_grid_refuses_most_numbers() -> None:
    # Of CB's 57 accuracies each admits one number of two digits, of 10,001.
    fitting = [k for k in range(10_001) if admitted(Printed(f"{k / 100:.2f}"), 56)]
    assert len(fitting) == 57
    assert fitting == [round(10_000 * k / 56) for k in range(57)]


def test_every_task_has_its_size() -> None:
    assert set(EVALUATION_EXAMPLES) <= set(TASKS)
    assert {TASKS[name].title.lower() for name in EVALUATION_EXAMPLES} == {cell.dataset for cell in cells()}
