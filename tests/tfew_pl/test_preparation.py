"""What a run trains on and what it is measured on."""

from pathlib import Path

import pytest

from tfew_pl.backbones import load_backbone
from tfew_pl.preparation import prepare
from tfew_pl.spec import IN_CONTEXT, Evaluation, RunSpec
from tfew_pl.tasks.data import load_data
from tfew_pl.tasks.splits import few_shot_indices


def _gold(spec: RunSpec, backbone_folder: Path) -> tuple[list[int], list[int]]:
    """Classes of the examples that are trained on, and of those that are evaluated."""
    (run,) = prepare([spec], load_backbone(str(backbone_folder)))
    trained = [] if run.draws is None else [example.gold for example in run.draws.each_once()]
    return trained, [example.gold for example in run.plain]


@pytest.mark.parametrize("fold", range(5))
def test_a_part_that_is_left_out_is_not_trained_on(fold: int, backbone_folder: Path) -> None:
    train = load_data("banking_77", "pocket").train
    indices = few_shot_indices(50, 50, 42)
    part = range(10 * fold, 10 * fold + 10)
    spec = RunSpec("banking_77", str(backbone_folder), evaluation=Evaluation(fold=fold))
    trained, evaluated = _gold(spec, backbone_folder)
    assert trained == [train[index]["Label"] - 1 for index in indices if index not in part]
    assert evaluated == [train[index]["Label"] - 1 for index in part]


def test_runs_that_are_left_out_of_different_splits_share_nothing(backbone_folder: Path) -> None:
    specs = [RunSpec("rte", str(backbone_folder), seed=seed, evaluation=Evaluation(fold=0)) for seed in (42, 1)]
    runs = prepare(specs, load_backbone(str(backbone_folder)))
    assert runs[0].plain != runs[1].plain


def test_a_context_holds_no_example_that_it_is_measured_on(backbone_folder: Path) -> None:
    spec = RunSpec("rte", str(backbone_folder), method=IN_CONTEXT, shots=10, evaluation=Evaluation(fold=0, templates=1))
    (run,) = prepare([spec], load_backbone(str(backbone_folder)))
    assert (len(run.plain), len(run.examples)) == (2, 2 * 8)


def test_a_task_may_have_longer_inputs(backbone_folder: Path) -> None:
    (run,) = prepare(
        [RunSpec("banking_77", str(backbone_folder), method="zero-shot")], load_backbone(str(backbone_folder))
    )
    assert min(len(example.input_ids) for example in run.plain) > 256, "the labels stand before the query"
