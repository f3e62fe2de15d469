"""FLOPs of a run, counted in parts as large as its training's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tfew_pl import costs
from tfew_pl.accounting import count_flops, run_costs
from tfew_pl.backbones import Backbone, load_backbone
from tfew_pl.encoding import Encoded, collate
from tfew_pl.module import TFewModule
from tfew_pl.preparation import PreparedRun, prepare
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method
from tfew_pl.resolve import resolve
from tfew_pl.spec import IN_CONTEXT, Evaluation, InContext, RunSpec


def test_a_step_is_counted_in_micro_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """What accumulates because its batch does not fit must not meet the whole one here."""
    recipe = Recipe(steps=1, batch_size=6, pretrained=False)
    spec = resolve(RunSpec(task="cb", recipe=recipe, evaluation=Evaluation(4, 1)))
    backbone = load_backbone(spec.backbone, spec.precision)
    (run,) = prepare([spec], backbone)
    adaptation = get_method("ia3").attach(backbone.model, generator=torch.Generator())
    module = TFewModule(backbone.model, adaptation, recipe, choices=3)
    sizes: list[int] = []
    losses = module.losses

    def watched(batch: Any) -> Tensor:
        sizes.append(len(batch.gold))
        return losses(batch)

    monkeypatch.setattr(module, "losses", watched)
    try:
        inference, whole = count_flops(run, module, micro_batch=6)
        again, parts = count_flops(run, module, micro_batch=2)
    finally:
        adaptation.detach()
    assert sizes == [6, 2, 2, 2]
    assert inference == again > 0
    assert parts == pytest.approx(whole, rel=0.1)  # the parts' padding differs
    assert all(parameter.grad is None for parameter in adaptation.parameters())


def _in_context(folder: Path, settings: InContext) -> tuple[PreparedRun, Backbone, TFewModule]:
    backbone = load_backbone(str(folder))
    spec = RunSpec("rte", str(folder), IN_CONTEXT, shots=3, evaluation=Evaluation(4, 2), in_context=settings)
    (run,) = prepare([spec], backbone)
    return run, backbone, TFewModule(backbone.model, None, Recipe(), choices=2)


def _score_flops(examples: Sequence[Encoded], module: TFewModule) -> int:
    with torch.no_grad():
        return costs.count_flops(lambda: module.score(collate(examples)))


def test_predictions_share_the_probes_of_calibration(backbone_folder: Path) -> None:
    """Of 4 examples through 2 templates, with 3 texts that say nothing through each."""
    run, _, module = _in_context(backbone_folder, InContext("concatenated", calibrated=True))
    assert run.probes is not None
    assert (len(run.plain), len(run.probes.asked)) == (8, 6)
    without, _ = count_flops(replace(run, probes=None), module, 1)
    inference, _ = count_flops(run, module, 1)
    assert inference - without == pytest.approx(_score_flops(run.probes.asked, module) / 8, rel=0.1)


def test_contexts_and_shots_are_means_over_templates(backbone_folder: Path) -> None:
    run, backbone, module = _in_context(backbone_folder, InContext())
    fewer = [e for e in run.examples if (e.template, e.context) != (1, 2)]
    run = replace(run, examples=fewer, shots=2.5)
    inference, training = count_flops(run, module, 1)
    assert inference == pytest.approx(2.5 * _score_flops(fewer, module) / len(fewer), rel=0.1)
    found = run_costs(
        run, backbone, counts=None, stored=0, flops=(inference, training), seconds=(0.0, 1.0), peak_memory=1
    )
    shot = costs.median_shot_tokens(run.plain)
    assert found.shots == 2
    assert found.inference_flops == backbone.parameters * (found.input_tokens + 2.5 * shot)
    assert found.stored_bytes == found.measured_stored_bytes == round(2.5 * shot * costs.TOKEN_ID_BYTES)
