"""Medians and IQRs against counting by hand and against SciPy."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics import Spread, TaskAccuracy, mean_over_tasks, spread, task_accuracy, unlabeled_tasks
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec


def test_spread_by_hand() -> None:
    # Of 1, 2, 4, 8, 16 the quartiles stand at the second and the fourth value.
    assert spread([16, 1, 4, 8, 2]) == Spread(4.0, 2.0, 8.0)
    # Of four values they stand a quarter of the way inwards: 1.75 and 3.25.
    assert spread([1, 2, 3, 4]) == Spread(2.5, 1.75, 3.25)
    assert spread([7]) == Spread(7.0, 7.0, 7.0)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=80))
def test_spread_equals_scipy(values: list[float]) -> None:
    found = spread(values)
    assert found.median == pytest.approx(np.median(values))
    assert found.iqr == pytest.approx(stats.iqr(values), abs=1e-9)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_spread_of_nothing(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite values"):
        spread(values)


def test_task_accuracy_pools_runs_and_templates(record: Callable[..., RunRecord]) -> None:
    runs = [
        record(RunSpec(task="rte", seed=0), {"a": 0.1, "b": 0.5}, examples=20),
        record(RunSpec(task="rte", seed=1), {"b": 0.9, "a": 0.3}, examples=20),
    ]
    # Pooled: 10, 30, 50, 90. A median of the runs' medians would be 45, one of the templates' medians too.
    assert task_accuracy(runs) == TaskAccuracy("rte", Spread(40.0, pytest.approx(25.0), pytest.approx(60.0)), 2, 2, 20)


def test_task_accuracy_refuses_other_tasks_and_templates(record: Callable[..., RunRecord]) -> None:
    one = record(RunSpec(task="rte"), {"a": 0.5})
    for other in (record(RunSpec(task="cb"), {"a": 0.5}), record(RunSpec(task="rte", seed=0), {"b": 0.5})):
        with pytest.raises(ValueError, match="records of one task"):
            task_accuracy([one, other])


def test_examples_without_labels_have_no_accuracy(record: Callable[..., RunRecord]) -> None:
    unlabeled = record(RunSpec(task="overruling"), {})
    with pytest.raises(ValueError, match="examples of overruling have no labels: there is no accuracy"):
        task_accuracy([unlabeled])
    assert unlabeled_tasks([record(RunSpec(task="rte"), {"a": 0.5}), unlabeled, unlabeled]) == ("overruling",)


def test_mean_over_tasks() -> None:
    tasks = [TaskAccuracy(name, Spread(m, m - i, m + 1), 1, 1, 1) for name, m, i in (("a", 60, 2), ("b", 90, 8))]
    assert mean_over_tasks(tasks) == Spread(75.0, 70.0, 76.0)
    with pytest.raises(ValueError, match="no tasks"):
        mean_over_tasks([])
