import math
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.compacter import Compacter, CompacterPlusPlus
from baselines.phm import PHMLinear, new_rule
from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation, Method
from tfew_pl.shapes import empty_backbone


def _attach(model: Any, method: Method) -> Adaptation:
    return method.attach(model, generator=torch.Generator().manual_seed(0))


def _phm(slots: int, rank: int, dtype: torch.dtype = torch.float64) -> PHMLinear:
    generator = torch.Generator().manual_seed(0)
    layer = PHMLinear(slots, (8, 12), rank, new_rule(slots, 4, generator, torch.device("cpu")), generator)
    for parameter in layer.parameters():
        parameter.data.normal_(generator=generator)
    return layer.to(dtype)


def _dense(layer: PHMLinear, slot: int) -> Tensor:
    """H = sum_i A_i kron (l_i r_i), with torch.kron: (in, out)."""
    return torch.stack([
        torch.kron(layer.rule[slot, i].contiguous(), (layer.left[slot, i] @ layer.right[slot, i]).contiguous())
        for i in range(layer.rule.shape[1])
    ]).sum(0)  # fmt: skip


@pytest.mark.parametrize("rank", [1, 3])
def test_it_multiplies_by_the_sum_of_kronecker_products(rank: int) -> None:
    layer = _phm(3, rank)
    x = torch.randn(4, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    slots = torch.tensor([2, 0, 1, 2])
    found = layer(x, lambda bank, rows: bank[slots])
    for row, slot in enumerate(slots.tolist()):
        torch.testing.assert_close(found[row], x[row] @ _dense(layer, slot) + layer.bias[slot])
    torch.testing.assert_close(layer(x, lambda bank, rows: bank[1:2]), x @ _dense(layer, 1) + layer.bias[1])


def test_its_gradients_are_those_of_finite_differences() -> None:
    layer = _phm(2, 2)
    x = torch.randn(2, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(x: Tensor, *parameters: Tensor) -> Tensor:
        arguments = (x, lambda bank, rows: bank)
        found = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), arguments)
        assert isinstance(found, Tensor)
        return found

    assert torch.autograd.gradcheck(call, (x, *values))


def test_what_it_counts_on_t0_3b() -> None:
    d, m, norms = 2048, 64, 122 * 2048
    one = 2 * 4**3 + 2 * (d + m) + m + d  # rules, factors, biases
    assert one == 6_464
    assert _attach(empty_backbone("t0-3b"), Compacter()).counts().trainable == 96 * one + norms == 870_400
    assert _attach(empty_backbone("t0-3b"), CompacterPlusPlus()).counts().trainable == 48 * one + norms == 560_128
    # Compacter's own paper shares the rules: 64 values for all instead of 128 a bottleneck.
    shared = _attach(empty_backbone("t0-3b"), Compacter({"rule": "shared"})).counts()
    assert shared.trainable == shared.stored == 96 * (one - 128) + 64 + norms == 858_176
    everywhere = Compacter({"after_cross_attention": True, "layer_norms": False})
    assert _attach(empty_backbone("t0-3b"), everywhere).counts().trainable == 120 * one


def test_it_starts_as_the_release_does(make_model: Any) -> None:
    state = _attach(make_model(), Compacter({"reduction": 2})).state_dict()
    rules = torch.cat([value.flatten() for name, value in state.items() if name.endswith("rule")])
    assert rules.std().item() == pytest.approx(0.02, rel=0.1)
    left = torch.cat([value.flatten() for name, value in state.items() if name.endswith("down.left")])
    largest = math.sqrt(2) * math.sqrt(6 / (24 // 4 + 1))  # Glorot-uniform with gain sqrt(2), (6, 1)
    assert left.abs().max().item() == pytest.approx(largest, rel=0.05)
    assert left.std().item() == pytest.approx(largest / math.sqrt(3), rel=0.1)
    assert all(not value.any() for name, value in state.items() if name.endswith("bias"))


def test_shared_rules_are_one_parameter(make_model: Any) -> None:
    adaptation = _attach(make_model(), Compacter({"rule": "shared"}))
    assert sum(name.endswith("rule") for name, _ in adaptation.named_parameters()) == 1
    stored = adaptation.stored()
    assert sum(name.endswith("rule") for name in stored) == 1
    other = _attach(make_model(seed=1), Compacter({"rule": "shared"}))
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_stored(stored)
    rules = [value for name, value in other.state_dict().items() if name.endswith("rule")]
    assert len(rules) == 2 * 8  # two maps in each of eight bottlenecks
    assert all(torch.equal(rule, rules[0]) and rule.any() for rule in rules)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"rank": 0}, "rank must be at least 1"),
        ({"rule": "learned"}, "option rule: expected own or shared, not 'learned'"),
        ({"n": 5}, "d_model is 24, no multiple of n = 5"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str, make_model: Any) -> None:
    model = make_model()
    with pytest.raises(UserError, match=message):
        _attach(model, Compacter(options))
    assert all(p.requires_grad for p in model.parameters())
