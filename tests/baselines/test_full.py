import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from baselines.full import FullAdaptation, FullFineTuning
from tfew_pl.adafactor import SlotAdafactor
from tfew_pl.encoding import Encoded, collate
from tfew_pl.module import loss_function
from tfew_pl.ranking import score_choices
from tfew_pl.recipe import Recipe
from tfew_pl.shapes import empty_backbone

Examples = Callable[..., list[Encoded]]


def _attach(model: nn.Module) -> FullAdaptation:
    adaptation = FullFineTuning().attach(model, generator=torch.Generator())
    assert isinstance(adaptation, FullAdaptation)
    return adaptation


def test_counts_on_t0_3b() -> None:
    adaptation = _attach(empty_backbone("t0-3b"))
    # The paper's 3B: what the release trains, the head untied.
    assert adaptation.counts().trainable == adaptation.counts().stored == 2_849_757_184
    assert "weights.lm_head/weight" in adaptation.stored()


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_gradients_are_those_of_training_the_backbone_itself(
    kind: str, make_model: Any, make_examples: Examples
) -> None:
    model, plain, batch = make_model(kind), make_model(kind), collate(make_examples(1, 4))
    adaptation = _attach(model)
    loss_function(model, Recipe())(batch).backward()
    loss_function(plain, Recipe())(batch).backward()
    expected = {name.replace(".", "/"): p.grad for name, p in plain.named_parameters()}
    assert set(expected) == set(adaptation.weights)
    assert ("lm_head/weight" in expected) == (kind == "untied")
    for name, parameter in adaptation.weights.items():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad[0], expected[name], rtol=1e-4, atol=1e-6)


def test_steps_are_those_of_training_the_backbone_itself(make_model: Any, make_examples: Examples) -> None:
    transformers = pytest.importorskip("transformers")
    model, plain = make_model(), make_model()
    adaptation = _attach(model)
    settings = {"lr": 1e-3, "relative_step": False, "warmup_init": False, "scale_parameter": True}
    ours = SlotAdafactor(adaptation.parameters(), lr=1e-3)
    theirs = transformers.Adafactor(plain.parameters(), **settings)
    for step in range(3):
        batch = collate(make_examples(step, 4))
        for net, optimizer in ((model, ours), (plain, theirs)):
            optimizer.zero_grad()
            loss_function(net, Recipe())(batch).backward()
            optimizer.step()
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(adaptation.weight(name), parameter.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_the_backbone_stays_as_it_was_bit_for_bit(kind: str, make_model: Any, make_examples: Examples) -> None:
    model, batch = make_model(kind), collate(make_examples(1, 4))
    state = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        before = score_choices(model, batch).log_probability
    adaptation = _attach(model)
    loss_function(model, Recipe())(batch).backward()
    SlotAdafactor(adaptation.parameters(), lr=0.1).step()
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())
    with torch.no_grad():
        assert not torch.equal(score_choices(model, batch).log_probability, before)
        adaptation.detach()
        assert torch.equal(score_choices(model, batch).log_probability, before)


def test_small_steps_count_on_a_bf16_backbone(make_model: Any) -> None:
    model = make_model().bfloat16()
    adaptation = _attach(model)
    assert all(p.dtype == torch.float32 for p in adaptation.parameters())
    own = model.lm_head.weight[0, 0].item()
    for _ in range(300):
        adaptation.weights["lm_head/weight"].data[0, 0, 0] += own * 1e-4  # each below bf16's resolution of 2^-9
    weight = adaptation.weight("lm_head.weight")
    assert weight.dtype == torch.bfloat16
    assert weight[0, 0].item() == pytest.approx(own * 1.03, rel=0.005)


def test_recipe() -> None:
    assert FullFineTuning.recipe == {"steps": 300, "learning_rate": 3e-4}
    assert not FullFineTuning.slotted
