import pytest

from experiments.grid import GridRun
from experiments.time_left import TimeLeft
from tfew_pl.spec import RunSpec

A = [GridRun("A", RunSpec("rte", seed=seed)) for seed in range(4)]
B = [GridRun("B", RunSpec("cb", seed=seed)) for seed in range(2)]


def test_nothing_is_known_before_a_run_has_finished() -> None:
    left = TimeLeft(A, workers=2)
    assert left.seconds() is None
    left.ended(A[0])
    assert left.seconds() is None


def test_runs_take_as_long_as_others_of_their_variant() -> None:
    left = TimeLeft(A + B, workers=2)
    left.finished(A[0], 10)
    assert left.seconds() == pytest.approx((3 * 10 + 2 * 10) / 2)
    left.finished(B[0], 40)
    assert left.seconds() == pytest.approx((3 * 10 + 1 * 40) / 2)
    left.ended(A[1])
    assert left.seconds() == pytest.approx((2 * 10 + 1 * 40) / 2)


def test_time_underway_counts_and_the_last_runs_have_a_worker_each() -> None:
    left = TimeLeft(A[:2], workers=4)
    left.finished(A[0], 10)
    assert left.seconds(underway=4) == pytest.approx(6)
    assert left.seconds(underway=14) == 0
    left.finished(A[1], 10)
    assert left.seconds() == 0
