"""The leaderboard's content, against independent formulas."""

import dataclasses
import functools
import json
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from experiments.contrasts import contrasts
from experiments.leaderboard.board import OURS, Board
from experiments.leaderboard.board import board as make_board
from experiments.leaderboard.describe import changes, variant
from tfew_pl.errors import UserError
from tfew_pl.recipe import RECIPES, Recipe, without
from tfew_pl.record import RunRecord
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Evaluation, Revisions, RunSpec
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

Variants = dict[str, list[RunRecord]]
board = functools.partial(make_board, resamples=10)


def records(variants: Variants) -> list[RunRecord]:
    return [record for group in variants.values() for record in group]


def changed(record: RunRecord, **fields: Any) -> RunRecord:
    return dataclasses.replace(record, spec=dataclasses.replace(record.spec, **fields))


def test_a_row_is_a_variant(variants: Variants) -> None:
    (section,) = board({OURS: records(variants)}).sections
    assert (section.data, section.tasks) == ("pocket", tuple(TASKS))
    assert [row.spec.method for row in section.rows] == ["ia3", ZERO_SHOT, IN_CONTEXT]
    assert [sum(map(len, row.runs.values())) for row in section.rows] == [55, 11, 55]
    assert all(row.complete for row in section.rows)


def test_values(variants: Variants) -> None:
    row = board({OURS: records(variants)}).values()[0]
    json.dumps(row, allow_nan=False)
    runs = [record for record in variants["T-Few"] if record.spec.task == "rte"]
    (cell,) = (task for task in row["tasks"] if task["task"] == "rte")
    assert cell["accuracy"] == pytest.approx(100 * statistics.median(v for r in runs for v in r.accuracy.values()))
    assert {(run["seed"], run["digest"]) for run in cell["runs"]} == {(r.spec.seed, r.spec.digest) for r in runs}
    assert cell["templates"] == list(runs[0].accuracy)
    seeds = {run["seed"]: run["accuracy"] for run in cell["runs"]}
    assert seeds[42] == pytest.approx([100 * share for share in runs[0].accuracy.values()])
    assert row["accuracy"] == pytest.approx(statistics.mean(task["accuracy"] for task in row["tasks"]))


def test_the_mean_lies_in_its_interval(make_record: Callable[[RunSpec], RunRecord]) -> None:
    """About as wide as a binomial's: three of four of 240 examples are right, through each of some templates."""
    runs = [make_record(RunSpec(task="rte", seed=seed)) for seed in OFFICIAL_SEEDS]
    row = board({OURS: runs}, resamples=200).values()[0]
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    assert 1 < row["accuracy_high"] - row["accuracy_low"] < 4 * 100 * (0.75 * 0.25 / 240) ** 0.5
    assert row["rank"] == 1.0


def test_ranks_are_means_over_tasks_and_ties_share(variants: Variants) -> None:
    twin = [changed(record, shots=7) for record in variants["T-Few"]]
    rows = board({OURS: [*records(variants), *twin]}).sections[0].rows
    assert [row.rank for row in rows] == [1.5, 1.5, 3, None]
    # On one of eleven tasks the twin is now last, and everything else moves up there.
    worse = [
        dataclasses.replace(r, accuracy=dict.fromkeys(r.accuracy, 0.01)) if r.spec.task == "cb" else r for r in twin
    ]
    rows = board({OURS: [*records(variants), *worse]}).sections[0].rows
    expected = [(10 * 1.5 + 1) / 11, (10 * 1.5 + 3) / 11, (10 * 3 + 2) / 11]
    assert [row.rank for row in rows[:3]] == pytest.approx(expected)


def test_incomplete_rows_come_last_and_have_neither_mean_nor_rank(variants: Variants) -> None:
    some = [changed(r, method="lora") for r in variants["T-Few"] if r.spec.task in ("rte", "cb")]
    rows = board({OURS: [*some, *records(variants)]}).sections[0].rows
    assert [row.spec.method for row in rows] == ["ia3", ZERO_SHOT, IN_CONTEXT, "lora"]
    last = rows[-1]
    assert (last.mean, last.interval, last.rank, set(last.runs)) == (None, None, None, {"rte", "cb"})
    assert rows[0].rank == 1.0


@pytest.mark.parametrize(
    "fields",
    [
        {"evaluation": Evaluation(examples=32)},
        {"evaluation": Evaluation(templates=3)},
        {"evaluation": Evaluation(fold=0)},
        {"backbone": "pocket-random"},
        {"recipe": without(Recipe(), "unlikelihood")},
    ],
)
def test_what_cannot_be_compared_has_a_mean_but_no_rank(variants: Variants, fields: dict[str, Any]) -> None:
    best = [
        dataclasses.replace(changed(r, method="lora", **fields), accuracy=dict.fromkeys(r.accuracy, 1.0))
        for r in variants["T-Few"]
    ]
    (section,) = board({OURS: [*best, *records(variants)]}).sections
    assert [(row.spec.method, row.rank) for row in section.rows] == [
        ("ia3", 1),
        (ZERO_SHOT, 2),
        ("lora", None),
        (IN_CONTEXT, None),
    ]
    (lora,) = (row for row in section.rows if row.spec.method == "lora")
    assert lora.mean
    assert lora.mean.median == pytest.approx(100)
    assert section.ranking
    assert lora.id not in section.ranking.ranks


def test_fewer_seeds_than_the_others_have_no_rank(variants: Variants) -> None:
    few = [changed(r, method="lora") for r in variants["T-Few"] if r.spec.seed != 32 or r.spec.task != "cb"]
    rows = board({OURS: [*few, *records(variants)]}).sections[0].rows
    assert [(row.spec.method, row.rank, row.unranked) for row in rows[:3]] == [
        ("ia3", 1, None),
        (ZERO_SHOT, 2, None),  # it sees no split
        ("lora", None, "4 of 5 official seeds"),
    ]


def test_an_interval_is_that_of_compare(variants: Variants) -> None:
    tasks = ("winogrande", "wsc", "wic")  # not in alphabetical order
    some = {name: [r for r in group if r.spec.task in tasks] for name, group in variants.items()}
    compared = {row["method"]: row for row in contrasts(some, "T-Few", resamples=20).rows}
    shown = {row["method"]: row for row in make_board({OURS: records(some)}, resamples=20).values()}
    for name, method in (("T-Few", "ia3"), ("Zero-shot", ZERO_SHOT), ("In-context learning", IN_CONTEXT)):
        for field in ("accuracy_low", "accuracy_high"):
            assert shown[method][field] == compared[name][field]


def test_sources_and_data_stand_apart(variants: Variants) -> None:
    ours = records(variants)
    made = board({OURS: ours, "a lab": [*variants["T-Few"], *(changed(r, data="hub") for r in variants["Zero-shot"])]})
    assert [section.data for section in made.sections] == ["pocket", "hub"]
    assert [row.source for row in made.sections[0].rows if row.spec.method == "ia3"] == [OURS, "a lab"]
    assert len({row.id for section in made.sections for row in section.rows}) == 5
    assert made.sections[1].rows[0].rank == 1.0


def test_a_folder_of_the_hubs_files_is_the_hub(variants: Variants) -> None:
    (section,) = board({OURS: [changed(record, data="some/folder") for record in variants["Zero-shot"]]}).sections
    assert section.data == section.rows[0].values()["data"] == "hub"


def test_it_is_a_pure_function_of_records(variants: Variants, example: Board) -> None:
    assert board({OURS: reversed(records(variants))}).values() == board({OURS: records(variants)}).values()
    assert example.values()


def test_versions_of_data_are_not_mixed(variants: Variants) -> None:
    stale = changed(variants["Zero-shot"][0], method="lora", revisions=Revisions(data="older"))
    with pytest.raises(UserError, match=rf"{stale.spec.digest} \(a lab\) were made on different versions .* of copa"):
        board({OURS: records(variants), "a lab": [stale]})


def test_versions_of_a_backbone_are_rows_of_their_own(variants: Variants) -> None:
    older = [changed(record, revisions=Revisions(backbone="older")) for record in variants["Zero-shot"]]
    rows = board({OURS: [*variants["Zero-shot"], *older]}).sections[0].rows
    assert [row.spec.revisions.backbone for row in rows] == ["", "older"]


def test_no_record() -> None:
    with pytest.raises(UserError, match="make some with: tfew grid table1"):
        board({OURS: []})


def test_a_variant_is_what_stays_when_task_and_seed_change() -> None:
    one = RunSpec(task="rte", revisions=Revisions(data="a", backbone="b"))
    same = dataclasses.replace(one, task="cb", seed=7, revisions=Revisions(data="c", backbone="b"))
    assert variant(one) == variant(same)
    for fields in ({"method": "lora"}, {"backbone": "t0"}, {"recipe": Recipe(steps=1)}, {"shots": 4}):
        assert variant(dataclasses.replace(one, **fields)) != variant(one)


def test_changes_are_as_the_command_line_says_them() -> None:
    assert changes(RunSpec(task="rte")) == ()
    assert changes(RunSpec(task="rte", recipe=without(Recipe(), "unlikelihood", "pretraining"))) == (
        "without unlikelihood",
        "without pretraining",
    )
    assert changes(RunSpec(task="rte", recipe=Recipe(steps=10, learning_rate=1e-3))) == (
        "recipe.steps=10",
        "recipe.learning_rate=0.001",
    )
    assert changes(RunSpec(task="rte", method=IN_CONTEXT, evaluation=Evaluation(32, 3), precision="bf16")) == (
        "evaluation.examples=32",
        "evaluation.templates=3",
        "precision=bf16",
    )
    assert "recipe.unlikelihood_form=release" in changes(RunSpec(task="rte", recipe=RECIPES["release"]))
    assert changes(RunSpec(task="rte", method="unheard-of", options={"width": 3})) == ("options.width=3",)


def test_a_methods_own_recipe_is_no_change() -> None:
    recipe = Recipe(steps=300, learning_rate=3e-4)
    assert changes(RunSpec(task="rte", method="bitfit", recipe=recipe)) == ()
    assert changes(RunSpec(task="rte", method="bitfit")) == ("recipe.steps=1000", "recipe.learning_rate=0.003")
