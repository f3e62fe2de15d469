"""The fused operations against those of transformers and against finite differences."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.activations import NewGELUActivation
from transformers.models.t5.modeling_t5 import T5Attention, T5DenseGatedActDense, T5LayerNorm, T5Stack

from tfew_pl.encoding import collate
from tfew_pl.fused import RMSNorm, _GatedGELU, _RMSNorm, fuse, gated_gelu, scaled
from tfew_pl.fused_attention import Biases, _Attention, attention
from tfew_pl.ranking import score_choices


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


@pytest.mark.parametrize("bias_shape", [None, (1, 2, 3, 5), (2, 1, 1, 5), (2, 2, 3, 5), (2, 2, 1, 5)])
def test_attention_and_its_gradients_equal_those_of_its_parts(bias_shape: tuple[int, ...] | None) -> None:
    torch.manual_seed(2)
    q, k, v = (torch.randn(2, n, 8, dtype=torch.float64, requires_grad=True) for n in (3, 5, 5))
    bias = None if bias_shape is None else torch.randn(bias_shape, dtype=torch.float64, requires_grad=True)

    def by_parts(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        q, k, v = (x.view(2, -1, 2, 4).transpose(1, 2) for x in (q, k, v))
        scores = q @ k.transpose(2, 3)
        scores = scores if bias is None else scores + bias
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)

    given = [x for x in (q, k, v, bias) if x is not None]
    weights = torch.randn(2, 3, 8, dtype=torch.float64)
    expected, found = by_parts(q, k, v, bias), attention(q, k, v, bias, heads=2)
    torch.testing.assert_close(found, expected)
    for one, two in zip(*(torch.autograd.grad((out * weights).sum(), given) for out in (found, expected)), strict=True):
        torch.testing.assert_close(one, two)


def test_gated_gelu_and_its_gradients_equal_those_of_its_parts() -> None:
    torch.manual_seed(3)
    a, b = (torch.randn(3, 5, 16).mul(4).requires_grad_() for _ in range(2))
    expected, found = NewGELUActivation()(a) * b, gated_gelu(a, b)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    weights = torch.randn(3, 5, 16)
    for one, two in zip(*(torch.autograd.grad((x * weights).sum(), (a, b)) for x in (found, expected)), strict=True):
        torch.testing.assert_close(one, two, atol=5e-6, rtol=1e-5)


def test_gated_gelu_gradients_by_finite_differences() -> None:
    torch.manual_seed(3)
    a, b = (torch.randn(2, 3, dtype=torch.float64).mul(2).requires_grad_() for _ in range(2))
    torch.testing.assert_close(_GatedGELU.apply(a, b), NewGELUActivation()(a) * b)
    assert torch.autograd.gradcheck(_GatedGELU.apply, (a, b))


@pytest.mark.parametrize("bias_shape", [None, (1, 2, 3, 4), (2, 1, 1, 4), (2, 2, 3, 4)])
def test_attention_gradients_by_finite_differences(bias_shape: tuple[int, ...] | None) -> None:
    torch.manual_seed(2)
    q, k, v = (torch.randn(2, n, 4, dtype=torch.float64, requires_grad=True) for n in (3, 4, 4))
    bias = None if bias_shape is None else torch.randn(bias_shape, dtype=torch.float64, requires_grad=True)
    given = (q, k, v) if bias is None else (q, k, v, bias)
    assert torch.autograd.gradcheck(lambda q, k, v, bias=None: _Attention.apply(q, k, v, bias, 2), given)


@pytest.mark.parametrize("rows", [1, 3])
def test_scaling_and_its_gradients_by_finite_differences(rows: int) -> None:
    torch.manual_seed(4)
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    scale = torch.randn(rows, 4, dtype=torch.float64, requires_grad=True)
    assert torch.equal(scaled(x, scale), x * scale.unsqueeze(1))
    assert torch.autograd.gradcheck(scaled, (x, scale))


@pytest.mark.parametrize("rows", [1, 4])
def test_in_bf16_a_vector_is_not_rounded_before_it_multiplies(rows: int) -> None:
    """Near 1, numbers of bf16 are 1/128 apart, and vectors of (IA)3 start at 1."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 2000, 8, generator=generator).bfloat16().requires_grad_()
    scale = torch.full((rows, 8), 1.003, requires_grad=True)
    product = scaled(x, scale)
    assert product.dtype == torch.bfloat16
    wide = x.detach().float()
    slope = (product.detach().float() * wide).sum() / wide.square().sum()
    assert slope.item() == pytest.approx(1.003, abs=5e-4)
    gradient = torch.rand(product.shape, generator=generator).bfloat16()
    product.backward(gradient)
    exact = (gradient.float() * wide).sum((0, 1) if rows == 1 else 1).view_as(scale)
    torch.testing.assert_close(scale.grad, exact)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, (gradient * 1.003).bfloat16())


def test_fused_modules_keep_weights_and_logits(make_model: Any) -> None:
    model = make_model("untied")
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 1]]), "labels": torch.tensor([[9, 8, 1]])}
    with torch.no_grad():
        before = model(**inputs).logits
        state = {name: value.clone() for name, value in model.state_dict().items()}
        fuse(model)
        after = model(**inputs).logits
        generated = model.generate(torch.tensor([[5, 6, 7, 1]]), max_new_tokens=4, do_sample=False)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert generated.shape[1] > 1
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    plain = (T5LayerNorm, T5Attention, T5Stack, T5DenseGatedActDense)
    assert not any(type(module) in plain for module in model.modules())


def test_a_hooked_block_takes_part(make_model: Any, make_examples: Any) -> None:
    """A method of one's own may hook what ours do not."""
    model, batch = make_model("untied"), collate(make_examples(3, 4))
    scores = []
    for fused in (False, True):
        if fused:
            fuse(model)
        handle = model.encoder.block[0].register_forward_hook(lambda _m, _i, out: (out[0] * 1.5, *out[1:]))
        with torch.no_grad():
            scores.append(score_choices(model, batch).log_probability)
        handle.remove()
    with torch.no_grad():
        scores.append(score_choices(model, batch).log_probability)
    torch.testing.assert_close(scores[1], scores[0], atol=1e-5, rtol=1e-5)
    assert (scores[2] - scores[1]).abs().max() > 1e-3


def test_attention_weights_are_there_where_they_are_asked_for(make_model: Any) -> None:
    model = make_model("untied")
    model.set_attn_implementation("eager")
    asked = {"input_ids": torch.tensor([[5, 6, 7, 1]]), "labels": torch.tensor([[9, 8, 1]]), "output_attentions": True}
    with torch.no_grad():
        before = model(**asked)
        fuse(model)
        after = model(**asked)
    for name in ("encoder_attentions", "decoder_attentions", "cross_attentions"):
        assert len(before[name]) == 2
        for one, two in zip(before[name], after[name], strict=True):
            torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-5)


def test_dropout_is_that_of_the_configuration(make_model: Any, make_examples: Any) -> None:
    model, batch = make_model("untied", dropout=0.3), collate(make_examples(3, 4))
    fuse(model)
    with torch.no_grad():
        still = score_choices(model, batch).log_probability
        model.train()
        draws = [score_choices(model, batch).log_probability for _ in range(2)]
    assert not torch.equal(draws[0], draws[1])
    assert (draws[0] - still).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_bfloat16_is_close(kind: str, make_model: Any, make_examples: Any) -> None:
    plain, batch = make_model(kind).bfloat16(), collate(make_examples(5, 3))
    model = copy.deepcopy(plain)
    fuse(model)
    with torch.no_grad():
        expected, found = (score_choices(m, batch).log_probability for m in (plain, model))
    torch.testing.assert_close(found, expected, atol=0.3, rtol=0.1)


def test_positions_seen_in_an_evaluation_can_be_trained(make_model: Any) -> None:
    """Their buckets are kept: those made in inference mode must serve a training too."""
    model = make_model("gated")
    fuse(model)
    tokens = torch.ones(1, 37, dtype=torch.long)  # a length that no other test has
    with torch.inference_mode():
        model(input_ids=tokens, labels=tokens)
    model(input_ids=tokens, labels=tokens).loss.backward()
    assert model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.grad.abs().sum() > 0


def test_layers_share_a_sum_of_biases_only_if_they_are_given_the_same() -> None:
    biases, position_bias = Biases(), torch.randn(1, 2, 3, 3)
    masks = [torch.randn(4, 1, 1, 3) for _ in range(2)]
    assert biases.total(None, None) is None
    assert biases.total(position_bias, None) is position_bias
    assert biases.total(None, masks[0]) is masks[0]
    first = biases.total(position_bias, masks[0])
    assert biases.total(position_bias, masks[0]) is first
    for mask in (masks[1], masks[0].clone()):
        assert torch.equal(biases.total(position_bias, mask), position_bias + mask)  # type: ignore[arg-type]
