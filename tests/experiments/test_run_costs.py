"""Costs of runs, from synthetic records."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from experiments.run_costs import run_values
from tfew_pl.costs import Price
from tfew_pl.record import RunRecord
from tfew_pl.spec import IN_CONTEXT, RunSpec

RecordMaker = Callable[..., RunRecord]


@pytest.fixture
def records(record: RecordMaker) -> dict[str, list[RunRecord]]:
    def make(task: str, seed: int, method: str, **costs: float) -> RunRecord:
        return record(RunSpec(task=task, seed=seed, method=method), {"a": 0.5, "b": 0.5}, 10, **costs)

    return {
        "T-Few": [
            make("rte", seed, "ia3", training_flops=flops, inference_flops=10, measured_training_flops=1000,
                 measured_inference_flops=40, training_seconds=7200, evaluation_seconds=20)
            for seed, flops in ((0, 100), (1, 300), (2, 9000))
        ]
        + [make("cb", 0, "ia3", training_flops=500, inference_flops=10, measured_training_flops=1000,
                measured_inference_flops=40, training_seconds=3600, evaluation_seconds=60)],
        "ICL": [make("rte", 0, IN_CONTEXT, inference_flops=50, measured_inference_flops=45, stored_bytes=8)],
    }  # fmt: skip


def test_medians_over_tasks_of_medians_over_runs(records: dict[str, list[RunRecord]]) -> None:
    t_few, icl = run_values(records, None)
    assert t_few["training_flops"] == (300 + 500) / 2  # the median of RTE's three is 300
    assert t_few["training_seconds"] == 5400
    assert t_few["prediction_seconds"] == (20 / 20 + 60 / 20) / 2
    assert (t_few["runs"], icl["runs"]) == (4, 1)
    assert icl["disk_bytes"] == 8
    assert t_few["price"] is t_few["training_dollars"] is None


def test_break_even_by_formula_and_as_measured(records: dict[str, list[RunRecord]]) -> None:
    t_few, icl = run_values(records, None)
    assert icl["break_even"] == 10  # 400 / (50 - 10)
    assert icl["measured_break_even"] == 200  # 1000 / (45 - 40)
    assert t_few["break_even"] is None
    assert t_few["break_even_of"] == icl["break_even_of"] == "T-Few"
    assert (t_few["in_context"], icl["in_context"]) == (False, True)
    (alone,) = run_values({"ICL": records["ICL"]}, None)
    assert alone["break_even"] is alone["break_even_of"] is None


def test_dollars_of_measured_flops(records: dict[str, list[RunRecord]]) -> None:
    """A price is that of a machine of a certain speed, on which the runs were not: their seconds are of another."""
    t_few: dict[str, Any] = run_values(records, Price("mine", 3600.0, 100.0))[0]
    assert t_few["training_dollars"] == pytest.approx(1000 / 100)
    assert t_few["inference_dollars"] == pytest.approx(40 / 100)
    assert t_few["price"] == "mine"


def test_what_trains_nothing_takes_no_time_for_it(records: dict[str, list[RunRecord]]) -> None:
    costs = dataclasses.replace(records["ICL"][0].costs, training_seconds=2e-6, measured_training_flops=0)
    (row,) = run_values({"ICL": [dataclasses.replace(records["ICL"][0], costs=costs)]}, Price("mine", 1.0, 1.0))
    assert (row["training_seconds"], row["training_dollars"]) == (0, 0)
