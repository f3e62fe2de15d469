"""Counting the FLOPs of finished runs anew."""

import dataclasses
from pathlib import Path

import pytest
import torch

from tfew_pl.backbones import load_backbone
from tfew_pl.errors import UserError
from tfew_pl.recipe import Recipe
from tfew_pl.recount import recount
from tfew_pl.resolve import resolve
from tfew_pl.run import run
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Evaluation, InContext, RunSpec

SHORT = Recipe(steps=2, batch_size=3, pretrained=False)


def test_a_run_is_counted_as_when_it_was_done(backbone_folder: Path) -> None:
    name, few = str(backbone_folder), Evaluation(examples=4, templates=1)
    specs = [RunSpec("cb", name, method, recipe=SHORT, evaluation=few) for method in ("ia3", "full", ZERO_SHOT)]
    specs += [
        RunSpec("rte", name, IN_CONTEXT, shots=3, evaluation=few, in_context=InContext(calibrated=calibrated))
        for calibrated in (False, True)
    ]
    records = [run(spec) for spec in specs]
    model = load_backbone(name).model
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    counted = list(recount([record.spec for record in records]))
    assert counted == [
        (record.spec, record.costs.measured_inference_flops, record.costs.measured_training_flops) for record in records
    ]
    assert counted[-1][1] > counted[-2][1]  # the probes
    assert all(inference > 0 and (training > 0) == spec.trains for spec, inference, training in counted)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())


def test_a_run_whose_inputs_have_changed_is_refused(backbone_folder: Path) -> None:
    spec = resolve(RunSpec("cb", str(backbone_folder), method=ZERO_SHOT))
    other = dataclasses.replace(spec, revisions=dataclasses.replace(spec.revisions, data="another"))
    with pytest.raises(UserError, match=r"zero-shot on cb.*have changed"):
        next(recount([other]))


def test_classifiers_count_for_themselves() -> None:
    assert list(recount([RunSpec("raft/terms_of_service", method="setfit")])) == []
