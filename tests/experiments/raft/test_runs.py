from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from experiments.grid import find_grid, load_grid
from experiments.raft.results import average, raft_results
from experiments.raft.runs import raft_specs
from tfew_pl.errors import UserError
from tfew_pl.recipe import RECIPES
from tfew_pl.record import RunRecord
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec
from tfew_pl.tasks import RAFT_TASKS


def test_a_run_a_task() -> None:
    specs = raft_specs([], {"method": ZERO_SHOT})
    assert [spec.task for spec in specs] == list(RAFT_TASKS)
    assert all(spec.revisions.data and spec.evaluation.fold is None for spec in specs)
    assert len({spec.digest for spec in specs}) == 11


def test_banking77_trains_without_unlikelihood_unless_told() -> None:
    weights = {s.task: s.recipe.unlikelihood_weight for s in raft_specs([], {})}
    assert weights == {name: float(name != "banking_77") for name in RAFT_TASKS}
    (spec,) = raft_specs(["banking_77"], {"recipe.unlikelihood_weight": 1.0})
    assert spec.recipe.unlikelihood_weight == 1.0


def test_the_releases_variant_brings_its_recipe() -> None:
    banking, other = raft_specs(["banking_77", "overruling"], {"task_options.variant": "release", "recipe.steps": 7})
    assert (other.recipe.unlikelihood_form, other.recipe.dropout, other.recipe.steps) == ("release", "checkpoint", 7)
    assert other.recipe.length_norm_weight == RECIPES["release"].length_norm_weight
    assert (other.recipe.batch_size, other.recipe.accumulate, other.recipe.drop_last) == (8, 8, False)
    assert (banking.recipe.unlikelihood_weight, banking.recipe.length_norm_weight, banking.recipe.steps) == (0, 0, 7)
    assert banking.task_options == {"variant": "release"}


def test_leaving_out_is_five_runs() -> None:
    specs = raft_specs(["overruling"], {}, leave_out=True)
    assert [spec.evaluation.fold for spec in specs] == [0, 1, 2, 3, 4]
    assert specs[2].label() == "ia3 on overruling, seed 42, part 3 of 5 left out (pocket-t0)"
    assert len({spec.digest for spec in specs}) == 5


def test_mistakes_are_told_at_once() -> None:
    with pytest.raises(UserError, match="unknown RAFT task 'rte'"):
        raft_specs(["rte"], {})
    with pytest.raises(UserError, match=r"variant is paper or release, not both$"):
        raft_specs([], {"task_options.variant": "both"})


def test_the_shipped_grid_is_these_runs() -> None:
    variants = load_grid(find_grid("table2")).variants()
    assert variants["T-Few"] == raft_specs([], {})
    assert variants["T-Few (release)"] == raft_specs([], {"task_options.variant": "release"})
    assert variants["Zero-shot"] == raft_specs([], {"method": ZERO_SHOT})
    assert variants["SetFit"] == raft_specs([], {"method": "setfit"})
    assert {spec.backbone for spec in variants["SetFit"]} == {"all-minilm-l6-v2"}


def _record(record: Callable[..., RunRecord], spec: RunSpec, gold: list[int], predicted: list[int]) -> RunRecord:
    made = record(spec, {"instruction": 0.5})
    table = pd.DataFrame({"template": 0, "example": range(len(gold)), "gold": gold, "predicted": predicted})
    return RunRecord(made.spec, made.accuracy, table, made.losses, made.costs, {})


def test_parts_are_measured_together(record: Callable[..., RunRecord]) -> None:
    """A part with one class alone would have an F1 of its own that says nothing."""
    first = _record(record, RunSpec("overruling", evaluation=Evaluation(fold=0)), [0, 0], [0, 1])
    second = _record(record, RunSpec("overruling", evaluation=Evaluation(fold=1)), [1, 1], [1, 1])
    (found,) = raft_results([first, second])
    assert (found.task, found.examples, found.accuracy) == ("overruling", 4, 0.75)
    assert found.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_the_average_is_over_tasks(record: Callable[..., RunRecord]) -> None:
    right = _record(record, RunSpec("overruling"), [0, 1], [0, 1])
    wrong = _record(record, RunSpec("twitter_complaints"), [0, 1, 0], [1, 0, 1])
    mean: Any = average(raft_results([right, wrong]))
    assert (mean.task, mean.examples, mean.accuracy, mean.macro_f1) == ("average", 5, 0.5, 0.5)
    hidden = _record(record, RunSpec("tweet_eval_hate"), [-1, -1], [0, 1])
    (found,) = raft_results([hidden])
    assert (found.accuracy, found.macro_f1) == (None, None)
    assert average([*raft_results([right]), found]) is None
