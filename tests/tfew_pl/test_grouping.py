import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load

from tfew_pl.backbones import load_backbone
from tfew_pl.errors import UserError
from tfew_pl.grouping import group_key, model_key
from tfew_pl.recipe import RECIPES, Recipe
from tfew_pl.record import RunRecord
from tfew_pl.registry import get_method, registered_methods
from tfew_pl.run import run, run_group
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

CPU = {"accelerator": "cpu"}
FEW = Evaluation(examples=4, templates=2)
SLOTTED = sorted(name for name, point in registered_methods().items() if point.load().slotted)


def _seeds(spec: RunSpec, count: int) -> list[RunSpec]:
    return [dataclasses.replace(spec, seed=seed) for seed in OFFICIAL_SEEDS[:count]]


def _alike(alone: RunRecord, beside: RunRecord) -> None:
    """The records differ in rounding, in timings, and in the note of the group."""
    assert beside.spec == alone.spec
    pd.testing.assert_frame_equal(beside.losses, alone.losses, rtol=1e-4, atol=1e-5)
    pd.testing.assert_frame_equal(beside.predictions, alone.predictions)
    assert beside.accuracy == alone.accuracy
    measured: dict[str, Any] = {"training_seconds": 0.0, "evaluation_seconds": 0.0, "peak_memory_bytes": 0}
    assert dataclasses.replace(beside.costs, **measured) == dataclasses.replace(alone.costs, **measured)
    assert {k: v for k, v in beside.environment.items() if k != "group"} == alone.environment
    assert alone.adaptation is not None
    assert beside.adaptation is not None
    expected, found = load(alone.adaptation), load(beside.adaptation)
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=2e-5, rtol=1e-3)


@pytest.fixture(autouse=True)
def _backbone_is_left_as_it_was(backbone_folder: Path) -> Iterator[None]:
    model = load_backbone(str(backbone_folder)).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    yield
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("method", SLOTTED)
def test_a_run_beside_others_is_as_if_run_alone(method: str, backbone_folder: Path) -> None:
    # Prompt tuning's learning rate of 0.3 makes large differences of roundings.
    recipe = Recipe(**{**get_method(method).recipe, "learning_rate": 3e-3, "steps": 5, "pretrained": False})
    spec = RunSpec("rte", str(backbone_folder), method, recipe=recipe, evaluation=FEW, shots=6)
    specs = _seeds(spec, 2)
    assert group_key(specs[0]) == group_key(specs[1]) is not None
    together = run_group(specs, trainer=CPU)
    for one, record in zip(specs, together, strict=True):
        _alike(run(one, trainer=CPU), record)
        assert record.environment["group"]["runs"] == 2
        json.dumps(record.environment)
    assert together[0].adaptation != together[1].adaptation
    assert not together[0].losses.equals(together[1].losses)


@pytest.mark.parametrize("method", ["ia3", "prefix-tuning"])
def test_runs_of_several_tasks_are_as_if_run_alone(method: str, backbone_folder: Path) -> None:
    """Two choices and three, lengths, numbers of examples and templates of their own."""
    recipe = Recipe(**{**get_method(method).recipe, "learning_rate": 3e-3, "steps": 5, "pretrained": False})
    spec = RunSpec("copa", str(backbone_folder), method, recipe=recipe, evaluation=FEW, shots=6)
    other = dataclasses.replace(spec, task="cb", seed=1024, shots=9, evaluation=Evaluation(examples=3, templates=1))
    assert model_key(spec) == model_key(other)
    assert group_key(spec) != group_key(other)
    for one, record in zip([spec, other], run_group([spec, other], trainer=CPU), strict=True):
        _alike(run(one, trainer=CPU), record)
        assert record.environment["group"]["runs"] == 2


_T0 = Path(__file__).parents[2] / "tfew_pl" / "pocket" / "checkpoints" / "pocket-t0" / "model.safetensors"


@pytest.mark.skipif(not _T0.is_file(), reason="the pocket checkpoints are not there yet")
def test_five_seeds_of_the_default_recipe_are_as_if_run_alone() -> None:
    """On the shipped backbone, from pre-trained vectors, with examples of different lengths and clipped gradients."""
    few = Evaluation(examples=8, templates=2)
    specs = _seeds(RunSpec("copa", recipe=Recipe(steps=20), evaluation=few), 5)
    together = run_group(specs, trainer=CPU)
    for number in (0, 3):
        _alike(run(specs[number], trainer=CPU), together[number])


def test_a_group_of_one_is_a_run(backbone_folder: Path) -> None:
    recipe = Recipe(steps=2, pretrained=False)
    spec = RunSpec("rte", str(backbone_folder), recipe=recipe, evaluation=FEW, shots=6)
    (record,) = run_group([spec], trainer=CPU)
    assert "group" not in record.environment
    assert record.adaptation == run(spec, trainer=CPU).adaptation


def test_a_loss_that_is_not_a_number_names_its_run(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def second_is_nan(*_: Any, **__: Any) -> torch.Tensor:
        return torch.tensor([1.0, float("nan")], requires_grad=True) * 1

    monkeypatch.setattr("tfew_pl.losses.lm_loss", second_is_nan)
    recipe = Recipe(steps=1, pretrained=False)
    spec = RunSpec("rte", str(backbone_folder), recipe=recipe, evaluation=FEW, shots=6)
    with pytest.raises(UserError, match=rf"seed {OFFICIAL_SEEDS[1]} .*not a number"):
        run_group(_seeds(spec, 2), trainer=CPU)


ALONE = {
    "nothing is trained": RunSpec("rte", method="in-context"),
    "weights are shared": RunSpec("rte", method="full"),
    "dropout is drawn": RunSpec("rte", recipe=Recipe(dropout="checkpoint")),
    "padding counts": RunSpec("rte", recipe=Recipe(unlikelihood_form="release")),
    "both": RunSpec("rte", recipe=RECIPES["release"]),
}


@pytest.mark.parametrize("reason", ALONE)
def test_runs_that_must_be_done_alone(reason: str) -> None:
    assert group_key(ALONE[reason]) is model_key(ALONE[reason]) is None
    with pytest.raises(ValueError, match="must have one model_key"):
        run_group(_seeds(ALONE[reason], 2))


def test_runs_are_grouped_by_everything_but_the_seed() -> None:
    spec = RunSpec("rte")
    assert group_key(spec) == group_key(dataclasses.replace(spec, seed=1))
    others = [
        dataclasses.replace(spec, **change)
        for change in (
            {"task": "cb"}, {"backbone": "pocket-random"}, {"method": "lora"}, {"recipe": Recipe(steps=7)},
            {"precision": "bf16"}, {"shots": 3}, {"evaluation": FEW},
        )
    ]  # fmt: skip
    assert len({group_key(one) for one in [spec, *others]}) == len(others) + 1
    of_data = ("task", "shots", "evaluation")
    same = [one for one in others if any(getattr(one, name) != getattr(spec, name) for name in of_data)]
    assert {model_key(one) for one in same} == {model_key(spec)}
    assert len({model_key(one) for one in others}) == len(others) - len(same) + 1
    with pytest.raises(ValueError, match="must have one model_key"):
        run_group([spec, dataclasses.replace(spec, recipe=Recipe(steps=7))])
