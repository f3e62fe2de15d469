"""The table of a grid of one's own, from synthetic records."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from experiments.tables.accuracy_document import document
from experiments.tables.block import markdown
from experiments.tables.own_grid import own_table, split
from experiments.tables.variants import Variant
from tfew_pl.errors import UserError
from tfew_pl.recipe import Recipe, without
from tfew_pl.record import RunRecord
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec

RecordMaker = Callable[..., RunRecord]
ACCURACY = {"a": 0.5, "b": 0.75}


def _variant(record: RecordMaker, name: str, *specs: RunSpec, finished: int | None = None) -> Variant:
    return Variant(name, specs, tuple(record(spec, ACCURACY, trained_parameters=10) for spec in specs[:finished]))


def _specs(**fields: object) -> list[RunSpec]:
    return [replace(RunSpec(task, seed=seed), **fields) for task in ("rte", "cb") for seed in (0, 1)]


def test_a_variant_is_a_row_compared_with_the_first(record: RecordMaker) -> None:
    variants = [
        _variant(record, "mine", *_specs(method="lora")),
        _variant(record, "LoRA", *_specs()),
        _variant(record, "untrained", RunSpec("rte", method=ZERO_SHOT), RunSpec("cb", method=ZERO_SHOT)),
    ]
    table = own_table("my-grid", variants)
    rows = table.values()
    assert [row["method"] for row in rows] == ["mine", "LoRA", "untrained"]
    assert [row["accuracy"] for row in rows] == [62.5, 62.5, 62.5]
    assert [row["difference"] for row in rows][:2] == [None, 0.0]
    assert {row["paper_accuracy"] for row in rows} == {None}, "though the paper has a row of that name"
    assert "paper_trained_parameters" not in rows[1]
    shown = markdown(document(table, "tfew grid my-grid.yaml"))
    assert shown.startswith("**Accuracy of the grid my-grid**\n")
    assert "paper" not in shown


def test_what_a_variant_sweeps_beside_tasks_and_seeds_is_a_row_of_its_own(record: RecordMaker) -> None:
    slow = Recipe(learning_rate=1e-3)
    variant = _variant(record, "mine", *_specs(), *_specs(recipe=slow), *_specs(options={"rank": 2}), finished=6)
    rows = list(split(variant))
    assert [row.name for row in rows] == [
        "mine, recipe.learning_rate=0.003, options.rank=default",
        "mine, recipe.learning_rate=0.001, options.rank=default",
        "mine, recipe.learning_rate=0.003, options.rank=2",
    ]
    assert [(len(row.specs), len(row.records)) for row in rows] == [(4, 4), (4, 2), (4, 0)]
    assert [row["missing_runs"] for row in own_table("it", [variant]).values()] == [0, 2, 4]


def test_means_over_other_tasks_are_not_set_beside_each_other(record: RecordMaker) -> None:
    few = [spec for spec in _specs() if spec.task == "rte"]
    table = own_table("it", [_variant(record, "both", *_specs()), _variant(record, "one", *few)])
    assert [row["accuracy"] for row in table.values()] == [62.5, None]
    shown = document(table, "")
    assert [row[2] for row in shown.blocks[0].rows] == ["62.5 (25.0)", "-"]
    assert "one has no mean, as it is not run on CB; what it differs by is on the others." in shown.notes


def test_tasks_without_labels_take_no_part_in_differences(record: RecordMaker) -> None:
    unlabeled = replace(record(RunSpec("overruling"), {}), predictions=record(RunSpec("rte"), {"a": 0.0}).predictions)
    unlabeled = replace(unlabeled, predictions=unlabeled.predictions.assign(gold=-1))

    def rows(*more: RunRecord) -> list[dict[str, object]]:
        variants = [
            Variant.finished(name, (*(record(spec, {"a": share, "b": share}) for spec in _specs()), *more))
            for name, share in (("A", 0.5), ("B", 0.75))
        ]
        return own_table("it", variants).values()

    assert rows(unlabeled) == rows()
    assert rows()[1]["difference"] == 25.0

    nothing = own_table("it", [Variant.finished("A", [unlabeled])])
    assert [row["accuracy"] for row in nothing.values()] == [None]
    assert "Left out, as their evaluation examples have no labels: overruling." in document(nothing, "").notes


def test_what_a_task_sets_in_the_recipe_makes_no_row(record: RecordMaker) -> None:
    banking = RunSpec("banking_77", recipe=without(Recipe(), "unlikelihood"))
    (row,) = split(_variant(record, "mine", RunSpec("overruling"), banking))
    assert row.name == "mine"


def test_evaluations_stand_apart(record: RecordMaker) -> None:
    variant = _variant(record, "mine", RunSpec("rte"), RunSpec("rte", evaluation=Evaluation(examples=3)))
    assert [row.name for row in split(variant)] == [
        "mine, evaluation.examples=None",
        "mine, evaluation.examples=3",
    ]


def test_records_that_do_not_belong_together_are_told(record: RecordMaker) -> None:
    one, other = RunSpec("rte", seed=0), RunSpec("rte", seed=1)
    variant = Variant("mine", (one, other), (record(one, {"a": 0.5}), record(other, {"b": 0.5})))
    with pytest.raises(UserError, match="no table can be made of the grid it: records of one task with the same"):
        own_table("it", [variant])
