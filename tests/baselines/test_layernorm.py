import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from baselines.layernorm import LayerNorm
from tfew_pl.encoding import Encoded, collate
from tfew_pl.fused import fuse, rms_norm
from tfew_pl.method import Adaptation
from tfew_pl.ranking import score_choices
from tfew_pl.shapes import empty_backbone

Examples = Callable[..., list[Encoded]]


def _attach(model: Any, slots: int = 1) -> Adaptation:
    return LayerNorm().attach(model, slots=slots, generator=torch.Generator())


def test_122_norms_on_t0_3b() -> None:
    # 2 a layer of the encoder, 3 a layer of the decoder, one at the end of each stack.
    counts = _attach(empty_backbone("t0-3b")).counts()
    assert counts.trainable == (2 * 24 + 1 + 3 * 24 + 1) * 2048 == 249_856


@pytest.mark.parametrize("fused", [False, True])
def test_gradients_are_those_of_training_the_backbones_own_norms(
    fused: bool, make_model: Any, make_examples: Examples
) -> None:
    model, batch = make_model(), collate(make_examples(3, 4))
    if fused:
        fuse(model)
    reference = copy.deepcopy(model)
    adaptation = _attach(model)
    scores, expected = score_choices(model, batch).log_probability, score_choices(reference, batch).log_probability
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=1e-6)
    scores.sum().backward()
    expected.sum().backward()
    for name, bank in adaptation.named_parameters():
        own = reference.get_parameter(f"{name.removeprefix('norms.').replace('/', '.')}.weight")
        torch.testing.assert_close(bank.grad[0], own.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(5,), (3, 1, 5)])
def test_rms_norm_has_the_gradients_of_finite_differences(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-6), (x, weight))


def test_rms_norm_is_its_formula() -> None:
    x, weight = torch.randn(2, 3, 4), torch.randn(2, 1, 4)
    expected = weight * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(rms_norm(x, weight, 1e-6), expected)


def test_a_bfloat16_backbone_keeps_its_precision(make_model: Any, make_examples: Examples) -> None:
    model, batch = make_model().bfloat16(), collate(make_examples(3, 4))
    before = score_choices(model, batch).log_probability
    adaptation = _attach(model)
    assert all(p.dtype == torch.float32 for p in adaptation.parameters())
    torch.testing.assert_close(score_choices(model, batch).log_probability, before, atol=0.2, rtol=0.05)
