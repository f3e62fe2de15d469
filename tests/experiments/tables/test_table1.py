"""Table 1 from synthetic records, against independent formulas."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments import published
from experiments.tables.table1 import Table1, paper_accuracy, recomputed
from experiments.tables.table1 import table1 as build
from experiments.tables.variants import Variant, measure
from tfew_pl.record import RunRecord
from tfew_pl.spec import ZERO_SHOT, RunSpec
from tfew_pl.tasks import TASKS

Variants = dict[str, list[RunRecord]]


def table1(variants: Variants) -> Table1:
    return build([Variant.finished(*variant) for variant in variants.items()])


def rows_by_name(variants: Variants) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in table1(variants).values()}


def test_order_and_keys(variants: Variants) -> None:
    rows = table1(variants).values()
    names = ["T-Few", "Zero-shot", "In-context learning", "GPT-3 6.7B", "GPT-3 13B", "GPT-3 175B"]
    assert [row["method"] for row in rows] == names
    required = {
        "method",
        "accuracy",
        "accuracy_iqr",
        "inference_flops",
        "training_flops",
        "disk_bytes",
        "paper_accuracy",
    }
    assert all(required <= set(row) for row in rows)
    json.dumps(rows, allow_nan=False)


def test_accuracy_is_the_mean_over_tasks_of_medians(variants: Variants) -> None:
    medians, iqrs = [], []
    for task in TASKS:
        pooled = np.array([list(r.accuracy.values()) for r in variants["T-Few"] if r.spec.task == task])
        assert pooled.shape == (5, 5)
        ordered = np.sort(100 * pooled.ravel())
        medians.append(ordered[12])
        iqrs.append(ordered[18] - ordered[6])  # of 25 values
    row = rows_by_name(variants)["T-Few"]
    assert row["accuracy"] == pytest.approx(np.mean(medians))
    assert row["accuracy_iqr"] == pytest.approx(np.mean(iqrs))
    assert (row["runs"], row["source"]) == (55, "measured")


def test_costs_are_medians_over_tasks(variants: Variants) -> None:
    row = rows_by_name(variants)["T-Few"]
    assert row["inference_flops"] == 1.6e6 * 65  # tokens 60, 61, ..., 70
    assert row["training_flops"] == 3 * 1.6e6 * 65 * 8000
    assert row["disk_bytes"] == 11_200
    assert row["measured_disk_bytes"] == 13_000


def test_one_odd_run_does_not_move_a_cost(record: Callable[..., RunRecord], variants: Variants) -> None:
    before = measure(Variant.finished("T-Few", variants["T-Few"])).costs["measured_inference_flops"]
    first = variants["T-Few"][0]
    variants["T-Few"][0] = record(first.spec, dict(first.accuracy), measured_inference_flops=1e15)
    assert measure(Variant.finished("T-Few", variants["T-Few"])).costs["measured_inference_flops"] == before


def test_the_papers_numbers_stand_beside_ours(variants: Variants) -> None:
    rows = rows_by_name(variants)
    assert rows["T-Few"]["paper_accuracy"] == 72.4
    assert rows["T-Few"]["paper_training_flops"] == 2.7e16
    assert rows["Zero-shot"]["paper_accuracy"] == 66.9
    assert rows["In-context learning"]["paper_disk_bytes"] == 16e3
    first = table1(variants).rows[0]
    assert paper_accuracy(first, "copa") == published.Accuracy(93.0, 2.0)


def test_gpt3_is_published_not_measured(variants: Variants) -> None:
    row = rows_by_name(variants)["GPT-3 175B"]
    assert (row["source"], row["accuracy"], row["accuracy_iqr"], row["runs"]) == ("published", None, None, None)
    assert (row["paper_accuracy"], row["paper_inference_flops"]) == (66.6, 1.4e15)
    # 2N FLOPs a token; 41 examples of 98 tokens and a query of 103.
    assert row["inference_flops"] == pytest.approx(2 * 175e9 * (41 * 98 + 103))
    assert row["disk_bytes"] == 41 * 98 * 4


def test_the_formula_gives_what_the_paper_prints_for_t5() -> None:
    """The paper's own figure for T5+LM includes the query; an encoder-decoder spends N a token."""
    flops = recomputed(published.table1()["T5+LM"])["inference_flops"]
    assert flops == pytest.approx(11e9 * (41 * 98 + 103))
    assert f"{flops:.1e}" == "4.5e+13"


def test_a_method_that_the_paper_has_not_stands_alone(record: Callable[..., RunRecord]) -> None:
    runs = [record(RunSpec(task="rte", method="lora"), {"a": 0.5})]
    row = table1({"LoRA": runs}).values()[0]
    assert (row["method"], row["accuracy"], row["paper_accuracy"]) == ("LoRA", 50.0, None)


def test_a_variant_is_of_one_method(record: Callable[..., RunRecord]) -> None:
    runs = [record(RunSpec(task="rte"), {"a": 0.5}), record(RunSpec(task="rte", method=ZERO_SHOT), {"a": 0.5})]
    with pytest.raises(ValueError, match="runs of one method"):
        measure(Variant.finished("", runs))


def test_tasks(variants: Variants) -> None:
    rows = table1(variants).task_values()
    assert len(rows) == 3 * 11
    row = next(r for r in rows if (r["method"], r["task"]) == ("In-context learning", "cb"))
    assert (row["runs"], row["templates"], row["examples"]) == (5, 3, 32)
    assert (row["paper_accuracy"], row["chance"]) == (32.1, pytest.approx(100 / 3))
