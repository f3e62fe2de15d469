"""What runs found, as far as they are finished."""

from collections.abc import Callable

import pytest

from experiments.tables.cells import left_out
from experiments.tables.variants import Variant, measure
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec

RecordMaker = Callable[..., RunRecord]


def specs(*tasks: str) -> tuple[RunSpec, ...]:
    return tuple(RunSpec(task=task, seed=seed) for task in tasks for seed in (0, 1))


def test_finished(record: RecordMaker) -> None:
    ours = measure(Variant.finished("", [record(spec, {"a": 0.25, "b": 0.75}) for spec in specs("rte", "cb")]))
    assert (ours.runs, ours.missing, ours.asked) == (4, 0, {"rte": 2, "cb": 2})
    assert ours.accuracy is not None
    assert (ours.accuracy.median, ours.accuracy.iqr) == (50, 50)


def test_a_missing_run_leaves_no_mean(record: RecordMaker) -> None:
    asked = specs("rte", "cb", "copa")
    records = tuple(record(spec, {"a": 0.5}, parameters=7) for spec in asked[:3])
    ours = measure(Variant("", asked, records))
    assert (ours.runs, ours.missing, ours.accuracy) == (3, 3, None)
    assert [(task.task, task.runs) for task in ours.tasks] == [("rte", 2), ("cb", 1)]
    assert (ours.task("copa"), ours.costs["parameters"]) == (None, 7)


def test_no_run_at_all() -> None:
    ours = measure(Variant("", specs("rte"), ()))
    assert (ours.tasks, ours.costs, ours.missing) == ((), {}, 2)


def test_tasks_stand_in_the_order_of_the_grid(record: RecordMaker) -> None:
    asked = specs("rte", "copa")
    ours = measure(Variant("", asked, tuple(record(spec, {"a": 0.5}) for spec in asked[::-1])))
    assert [task.task for task in ours.tasks] == list(ours.asked) == ["rte", "copa"]


def test_one_method_only() -> None:
    with pytest.raises(ValueError, match="runs of one method"):
        measure(Variant("", (RunSpec(task="rte"), RunSpec(task="rte", method="lora")), ()))


def test_tasks_without_labels_are_left_out_and_named(record: RecordMaker) -> None:
    asked = (*specs("rte"), *specs("overruling"))
    records = tuple(record(spec, {"a": 0.5} if spec.task == "rte" else {}) for spec in asked)
    ours = measure(Variant("", asked, records))
    assert (ours.asked, ours.missing, ours.unlabeled) == ({"rte": 2}, 0, ("overruling",))
    assert list(left_out([("T-Few", ours)])) == ["Left out, as their evaluation examples have no labels: overruling."]
    none = measure(Variant.finished("", records[2:]))
    assert (none.accuracy, none.tasks, none.unlabeled) == (None, (), ("overruling",))
