"""The fused operations against those of transformers and against finite differences."""

from typing import Any

import torch
from torch import nn
from transformers.activations import NewGELUActivation
from transformers.models.t5.modeling_t5 import T5LayerNorm

from tfew_pl.fused import RMSNorm, _RMSNorm, fuse


def test_norm_and_its_gradients_equal_t5s() -> None:
    torch.manual_seed(0)
    theirs, ours = T5LayerNorm(16), RMSNorm(16)
    for norm in (theirs, ours):
        norm.weight.data = torch.linspace(0.5, 2.0, 16)
    x = torch.randn(3, 5, 16) * 10
    results = []
    for norm in (theirs, ours):
        given = x.clone().requires_grad_()
        out = norm(given)
        (out * torch.cos(torch.arange(out.numel()).view(out.shape))).sum().backward()
        results.append((out.detach(), given.grad, norm.weight.grad))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_norm_gradients_by_finite_differences() -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: _RMSNorm.apply(a, b, 1e-6), (x, weight))


def test_other_precisions_take_t5s_way() -> None:
    ours, theirs = RMSNorm(8).bfloat16(), T5LayerNorm(8).bfloat16()
    x = torch.randn(2, 8, dtype=torch.bfloat16)
    assert torch.equal(ours(x), theirs(x))


def test_fused_model_gives_the_same_logits(make_model: Any) -> None:
    model = make_model("untied")
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 1]]), "labels": torch.tensor([[9, 8, 1]])}
    with torch.no_grad():
        before = model(**inputs).logits
        state = {name: value.clone() for name, value in model.state_dict().items()}
        fuse(model)
        after = model(**inputs).logits
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(isinstance(m, NewGELUActivation) or type(m) is T5LayerNorm for m in model.modules())
    assert any(isinstance(m, nn.GELU) for m in model.modules())
