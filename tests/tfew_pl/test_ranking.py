import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tfew_pl.encoding import Encoded, collate
from tfew_pl.ia3 import IA3
from tfew_pl.ranking import score_choices
from tfew_pl.registry import get_method


def _hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def _perturbed(model: nn.Module, seed: int = 0) -> Any:
    """(IA)3 with vectors between 0.5 and 1.5."""
    adaptation = IA3().attach(model, generator=torch.Generator())
    generator = torch.Generator().manual_seed(seed)
    for parameter in adaptation.parameters():
        parameter.data.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
    return adaptation


@pytest.fixture(scope="module", params=["untied", "tied", "untied with ia3", "tied with ia3"])
def model(request: pytest.FixtureRequest, make_model: Any) -> Any:
    kind, _, adapted = request.param.partition(" ")
    model = make_model(kind)
    if adapted:
        _perturbed(model)
    return model


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 5), most_choices=st.integers(1, 6))
def test_scores_equal_those_of_scoring_each_choice_alone(
    model: Any, plain_scores: Any, make_examples: Any, seed: int, count: int, most_choices: int
) -> None:
    examples: list[Encoded] = make_examples(seed, count, most_choices=most_choices)
    with torch.no_grad():
        scores = score_choices(model, collate(examples), complement=True)
        for row, example in enumerate(examples):
            for number, choice in enumerate(example.choices):
                plain = plain_scores(model, example.input_ids, choice)
                found = scores.log_probability[row, number]
                torch.testing.assert_close(found[: len(choice)].double(), plain, atol=1e-5, rtol=1e-5)
                assert not found[len(choice) :].any()
                complement = scores.log_complement[row, number]
                if number == example.gold:
                    assert not complement.any()
                else:
                    expected = torch.log1p(-plain.exp())
                    torch.testing.assert_close(complement[: len(choice)].double(), expected, atol=1e-5, rtol=1e-4)
                    assert not complement[len(choice) :].any()
            assert not scores.log_probability[row, len(example.choices) :].any()
            assert not scores.log_complement[row, len(example.choices) :].any()


def test_the_input_and_every_part_of_the_model_matter(model: Any, make_examples: Any) -> None:
    """Else the comparison above would see nothing."""
    examples = make_examples(3, 1)
    other = Encoded(examples[0].input_ids[::-1], examples[0].choices, 0)
    with torch.no_grad():
        first, second = (score_choices(model, collate([e])).log_probability for e in (examples[0], other))
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_gradients_equal_those_of_the_plain_path(
    kind: str, make_model: Any, make_examples: Any, plain_scores: Any
) -> None:
    examples: list[Encoded] = make_examples(11, 4)
    weights = [[[0.3 + 0.1 * t + 0.2 * c for t in range(9)] for c in range(6)] for _ in examples]
    gradients = []
    for plain in (False, True):
        model = make_model(kind)
        adaptation = _perturbed(model)
        if plain:
            terms = [
                weights[row][number][place] * value
                for row, example in enumerate(examples)
                for number, choice in enumerate(example.choices)
                for place, value in enumerate(plain_scores(model, example.input_ids, choice))
            ]
            total = torch.stack(terms).sum()
        else:
            scores = score_choices(model, collate(examples)).log_probability
            _, choices, tokens = scores.shape
            total = (scores * torch.tensor(weights)[:, :choices, :tokens]).sum()
        total.backward()
        gradients.append({name: p.grad for name, p in adaptation.named_parameters()})
        assert all(p.grad is None for p in model.parameters())
    assert all(g is not None and g.abs().max() > 0 for g in gradients[0].values())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-5, rtol=1e-4)


def _sure(make_model: Any, margin: float) -> tuple[Any, Tensor]:
    """A model whose logits are `margin` at token 7, 0 at EOS and about -50 elsewhere, whatever it reads."""
    model = make_model("untied")
    logits = torch.full((512,), -50.0)
    logits[7], logits[1] = margin, 0.0
    norm = model.decoder.final_layer_norm
    norm.weight.data.zero_()
    # The final state is 0 but for what this hook adds: a constant 1 in the first place.
    norm.register_forward_hook(lambda _m, _i, out: torch.cat([torch.ones_like(out[..., :1]), out[..., 1:]], -1))
    model.lm_head.weight.data.zero_()
    model.lm_head.weight.data[:, 0] = logits
    return model, logits.double()


@pytest.mark.parametrize("margin", [0.0, 3.0, 20.7, 22.0, 30.0])
def test_log_complement_is_exact_where_p_is_near_one(margin: float, make_model: Any) -> None:
    model, logits = _sure(make_model, margin)
    batch = collate([Encoded((5, 1), ((9, 1), (7, 1)), gold=0)])
    with torch.no_grad():
        scores = score_choices(model, batch, complement=True)
    others = logits.clone()
    others[7] = -math.inf
    expected = others.logsumexp(-1) - logits.logsumexp(-1)  # log(1 - p), in float64
    if margin > 20.7:
        assert -expected > 20.7, "1 - p is below 1e-9"
    torch.testing.assert_close(scores.log_complement[0, 1, 0].double(), expected, atol=0, rtol=1e-6)


def test_log_complement_has_a_finite_gradient_where_p_is_near_one(make_model: Any) -> None:
    model, _ = _sure(make_model, 60.0)
    batch = collate([Encoded((5, 1), ((9, 1), (7, 1)), gold=0)])
    score_choices(model, batch, complement=True).log_complement.sum().backward()
    assert model.lm_head.weight.grad.isfinite().all()
    assert model.lm_head.weight.grad[7, 0] == pytest.approx(-1.0, abs=1e-5)  # d log(1 - p) / d logit = -p


def test_hooks_are_gone_afterwards(make_model: Any, make_examples: Any) -> None:
    model = make_model()
    score_choices(model, collate(make_examples(0, 2)), complement=True)
    assert _hooks(model) == 0


def test_hooks_are_gone_after_an_error(make_model: Any) -> None:
    model = make_model()
    batch = collate([Encoded((5, 1), ((10_000, 1),), gold=0)])
    batch.choice_ids[0, 0, 0] = 10**6
    batch.choice_ids = torch.cat([batch.choice_ids, batch.choice_ids], -1)
    batch.choice_mask = torch.cat([batch.choice_mask, batch.choice_mask], -1)
    with pytest.raises(IndexError):
        score_choices(model, batch)
    assert _hooks(model) == 0


def test_scores_do_not_depend_on_what_else_is_in_the_batch(model: Any, make_examples: Any) -> None:
    examples = make_examples(21, 5)
    with torch.no_grad():
        together = score_choices(model, collate(examples), complement=True)
        for row, example in enumerate(examples):
            alone = score_choices(model, collate([example]), complement=True)
            _, choices, tokens = alone.log_probability.shape
            for name in ("log_probability", "log_complement"):
                found = getattr(together, name)[row, :choices, :tokens]
                torch.testing.assert_close(found, getattr(alone, name)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["ia3", "prompt-tuning-10"])
def test_equal_inputs_of_a_slot_are_encoded_once(method: str, make_model: Any, make_examples: Any) -> None:
    model = make_model()
    adaptation = get_method(method).attach(model, slots=2, generator=torch.Generator())
    generator = torch.Generator().manual_seed(0)
    for parameter in adaptation.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    inputs = [(5, 6, 7, 1), (8, 9, 1)]
    order = [0, 1, 0, 0, 1, 1, 0]
    examples = [replace(e, input_ids=inputs[order[n]], slot=n % 2) for n, e in enumerate(make_examples(21, 7))]
    batch = collate(examples)
    assert batch.twin is not None
    assert batch.twin.tolist() == [0, 1, 0, 3, 4, 1, 0]
    read: list[int] = []
    model.decoder.register_forward_pre_hook(
        lambda _module, _inputs, named: read.append(len(named["encoder_hidden_states"])), with_kwargs=True
    )
    model.encoder.register_forward_hook(lambda _module, _inputs, out: read.append(len(out.last_hidden_state)))
    exact = score_choices(model, batch, True, within=adaptation.passes(batch.slot))
    with torch.no_grad():
        found = score_choices(model, batch, True, within=adaptation.passes(batch.slot))
    assert read == [7, 7, 4, 7], "in training, each; in an evaluation, four different ones"
    torch.testing.assert_close(found.log_probability, exact.log_probability.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.log_complement, exact.log_complement.detach(), atol=1e-5, rtol=1e-5)
    assert collate(examples[3:5]).twin is None


def test_bfloat16_scores_are_float32_and_close(make_model: Callable[..., Any], make_examples: Any) -> None:
    model, batch = make_model(), collate(make_examples(5, 3))
    with torch.no_grad():
        exact = score_choices(model, batch).log_probability
        rough = score_choices(copy.deepcopy(model).bfloat16(), batch).log_probability
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.3, rtol=0.1)
