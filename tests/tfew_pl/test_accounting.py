"""FLOPs of a run, counted in parts as large as its training's."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tfew_pl.accounting import count_flops
from tfew_pl.backbones import load_backbone
from tfew_pl.module import TFewModule
from tfew_pl.preparation import prepare
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method
from tfew_pl.resolve import resolve
from tfew_pl.spec import Evaluation, RunSpec


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
