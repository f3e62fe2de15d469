"""Every registered method in a whole run, from few-shot examples to a record, whose file another attachment reads."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tfew_pl.adaptation_file import backbone_digest, load_into
from tfew_pl.backbones import load_backbone
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method, registered_methods
from tfew_pl.run import run
from tfew_pl.spec import Evaluation, RunSpec

CPU = {"accelerator": "cpu"}


def _spec(name: str, folder: Path, **values: Any) -> RunSpec:
    recipe = Recipe(**{**get_method(name).recipe, "steps": 2, "pretrained": False})
    few = Evaluation(examples=3, templates=1)
    return RunSpec("rte", backbone=str(folder), method=name, recipe=recipe, evaluation=few, shots=4, **values)


@pytest.mark.parametrize("name", sorted(registered_methods()))
def test_a_run(name: str, backbone_folder: Path, make_setting: Any, tmp_path: Path) -> None:
    model = load_backbone(str(backbone_folder)).model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trainable = [p.requires_grad for p in model.parameters()]
    record = run(_spec(name, backbone_folder), trainer=CPU)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == trainable
    assert all(p.grad is None for p in model.parameters())

    path = tmp_path / "adaptation.safetensors"
    path.write_bytes(record.adaptation or b"")
    adaptation = get_method(name).attach(model, generator=torch.Generator(), setting=make_setting(model))
    load_into(adaptation, path, name, backbone_digest(model))
    adaptation.detach()
    counts = record.costs
    assert counts.trained_parameters > 0
    assert counts.measured_stored_bytes == len(record.adaptation or b"") > 0


@pytest.mark.parametrize("name", sorted(registered_methods()))
def test_a_run_in_bfloat16(name: str, backbone_folder: Path) -> None:
    record = run(_spec(name, backbone_folder, precision="bf16"), trainer=CPU)
    assert len(record.predictions) == 3
