from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.substitution import WeightAdaptation
from tfew_pl.encoding import Encoded, collate
from tfew_pl.ranking import score_choices

Examples = Callable[..., list[Encoded]]


class _Scaled(WeightAdaptation):
    """Every weight times one trained number."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__(backbone)
        self.factor = nn.Parameter(torch.full((1,), 1.5))
        self.made: Counter[str] = Counter()
        for name in self._own:
            self._substitute(name)

    def weight(self, name: str) -> Tensor:
        self.made[name] += 1
        return self._own[name].detach() * self.factor


def _loss(model: Any, examples: list[Encoded]) -> Tensor:
    return score_choices(model, collate(examples)).log_probability.sum()


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_modules_compute_with_the_substitutes(kind: str, make_model: Any, make_examples: Examples) -> None:
    model, reference, examples = make_model(kind), make_model(kind), make_examples(1, 3)
    factor = torch.tensor(1.5, requires_grad=True)
    weights = {name: p.detach() * factor for name, p in reference.named_parameters()}
    model.requires_grad_(False)
    adaptation = _Scaled(model)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            parameter.copy_(weights[name])
    loss, expected = _loss(model, examples), _loss(reference, examples)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-5)
    loss.backward()
    expected.backward()
    own = {name: p.detach() for name, p in model.named_parameters()}
    total = torch.stack([(p.grad * own[n]).sum() for n, p in reference.named_parameters() if p.grad is not None]).sum()
    assert adaptation.factor.grad is not None
    torch.testing.assert_close(adaptation.factor.grad[0], total, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_weights_made_ahead_are_made_once_and_are_gone_afterwards(kind: str, make_model: Any) -> None:
    model = make_model(kind).requires_grad_(False)
    adaptation = _Scaled(model)
    ids = torch.tensor([[5, 6, 7, 1]])
    expected = model.encoder(input_ids=ids).last_hidden_state
    before = {module: (vars(module).get("forward"), dict(module._parameters)) for module in model.modules()}
    adaptation.made.clear()
    with adaptation.ahead(model.encoder):
        found = model.encoder(input_ids=ids).last_hidden_state
        assert not any("forward" in vars(module) for module in model.encoder.modules())
    assert set(adaptation.made.values()) == {1}
    assert {name for name in adaptation.made if name.startswith("decoder")} == set()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    gradients = [torch.autograd.grad(states.sum(), adaptation.factor)[0] for states in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)
    with pytest.raises(RuntimeError, match="stop"), adaptation.ahead(model.decoder):
        raise RuntimeError("stop")
    for module, (forward, parameters) in before.items():
        assert vars(module).get("forward") is forward
        assert all(module._parameters[name] is own for name, own in parameters.items())


def test_autograd_keeps_no_matrix(make_model: Any, make_examples: Examples) -> None:
    model = make_model().requires_grad_(False)
    adaptation = _Scaled(model)
    matrices = {name for name, p in model.named_parameters() if p.ndim == 2 and "relative" not in name}
    loss = _loss(model, make_examples(1, 3))
    forward = adaptation.made.copy()
    loss.backward()
    # A linear map's backward pass needs its matrix; that it asks for it again shows that it was not kept.
    again = {name for name in adaptation.made if adaptation.made[name] > forward[name]}
    assert again == matrices - {"shared.weight"}  # a look-up needs no matrix to go back
    with torch.no_grad():
        before = adaptation.made.copy()
        _loss(model, make_examples(1, 3))
    assert all(adaptation.made[name] - before[name] == forward[name] for name in before)


def test_activations_are_kept_as_whoever_is_around_will_have_it(make_model: Any, make_examples: Examples) -> None:
    """Checkpointing, such as that of choices in parts, keeps none."""
    model = make_model().requires_grad_(False)
    adaptation = _Scaled(model)
    given: list[Tensor] = []
    kept: set[int] = set()

    def keep(tensor: Tensor) -> int:
        kept.add(tensor.data_ptr())
        stored.append(tensor)
        return len(stored) - 1

    stored: list[Tensor] = []
    model.decoder.block[1].layer[-1].DenseReluDense.wo.register_forward_pre_hook(
        lambda _module, inputs: given.append(inputs[0])
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda place: stored[place]):
        loss = _loss(model, make_examples(1, 3))
    assert len(given) == 1
    assert given[0].data_ptr() in kept
    loss.backward()
    assert adaptation.factor.grad is not None


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_gradients_of_choices_decoded_in_parts(kind: str, make_model: Any, make_examples: Examples) -> None:
    model, batch = make_model(kind).requires_grad_(False), collate(make_examples(1, 3))
    adaptation = _Scaled(model)
    gradients = []
    for tokens in (10**9, 20):
        adaptation.zero_grad()
        score_choices(model, batch, complement=True, tokens=tokens).log_probability.sum().backward()
        assert adaptation.factor.grad is not None
        gradients.append(adaptation.factor.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)


def test_an_error_within_a_module_leaves_it_its_own_weight(make_model: Any, make_examples: Examples) -> None:
    model, examples = make_model().requires_grad_(False), make_examples(1, 3)
    before, expected = dict(model.named_parameters()), _loss(model, examples)
    adaptation = _Scaled(model)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model.encoder.block[0].layer[0].SelfAttention.q(torch.zeros(1, 2, 5))
    adaptation.factor.data.fill_(1.0)
    after = dict(model.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    torch.testing.assert_close(_loss(model, examples), expected)
    adaptation._own.clear()
    with pytest.raises(KeyError):  # in making the substitute
        model.lm_head(torch.zeros(1, 24))
    assert model.lm_head.weight is before["lm_head.weight"]
    adaptation.detach()
    assert all("forward" not in vars(m) for m in model.modules())
    assert torch.equal(_loss(model, examples), expected)


def test_an_interrupted_call_leaves_the_module_its_own_weight(make_model: Any, make_examples: Examples) -> None:
    """Ctrl-C in a notebook, where the model stays in use."""
    model, examples = make_model().requires_grad_(False), make_examples(1, 3)
    before, expected = dict(model.named_parameters()), _loss(model, examples)
    head = model.lm_head
    compute = head.forward

    def interrupted(hidden: Tensor) -> Tensor:
        raise KeyboardInterrupt

    head.forward = interrupted
    adaptation = _Scaled(model)
    with pytest.raises(KeyboardInterrupt):
        _loss(model, examples)
    adaptation.detach()
    head.forward = compute
    after = dict(model.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    assert torch.equal(_loss(model, examples), expected)


def test_merging_writes_the_weights(make_model: Any) -> None:
    model, plain = make_model("tied").requires_grad_(False), make_model("tied")
    _Scaled(model).merge()
    for ours, own in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, own * 1.5)
