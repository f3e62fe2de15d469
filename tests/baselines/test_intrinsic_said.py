import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.intrinsic_said import IntrinsicSAID, IntrinsicSAIDAdaptation, SmallIntrinsicSAID
from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.ranking import score_choices
from tfew_pl.shapes import empty_backbone

Examples = Callable[..., list[Encoded]]


def _attach(model: nn.Module, dimensions: int = 300, seed: int = 0) -> IntrinsicSAIDAdaptation:
    method = IntrinsicSAID({"dimensions": dimensions})
    adaptation = method.attach(model, generator=torch.Generator().manual_seed(seed))
    assert isinstance(adaptation, IntrinsicSAIDAdaptation)
    return adaptation


def _perturb(adaptation: IntrinsicSAIDAdaptation) -> IntrinsicSAIDAdaptation:
    generator = torch.Generator().manual_seed(9)
    for parameter in (adaptation.theta, adaptation.scales):
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return adaptation


@torch.no_grad()
def _scores(model: Any, examples: list[Encoded]) -> Tensor:
    return score_choices(model, collate(examples)).log_probability


def test_counts_on_t0_3b() -> None:
    model = empty_backbone("t0-3b")
    for method, dimensions in ((IntrinsicSAID(), 500_000), (SmallIntrinsicSAID(), 20_000)):
        adaptation = method.attach(model, generator=torch.Generator())
        assert isinstance(adaptation, IntrinsicSAIDAdaptation)
        # The paper's 500K and 20K; the release trains one less.
        assert adaptation.counts().trainable == dimensions
        assert adaptation.counts().stored == dimensions + 1
        assert adaptation.scales.numel() == 558
        # in + out of 6 x 48 + ... matrices and the layer norms: what the docstring's D says.
        assert adaptation.projection.outputs == 2_530_176
        adaptation.detach()


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_weights_move_by_outer_products_of_the_projected_vector(kind: str, make_model: Any) -> None:
    model = make_model(kind).double()
    adaptation = _perturb(_attach(model)).double()
    p = torch.stack([adaptation.projection(e) for e in torch.eye(adaptation.theta.shape[1]).double()], dim=1)
    coordinates = p @ adaptation.theta[0]
    start = 0
    names = [name for name, _ in model.named_parameters()]
    assert adaptation.scales.shape == (1, len(names))
    for number, (name, own) in enumerate(model.named_parameters()):
        scale = adaptation.scales[0, number]
        if own.ndim == 2:
            rows, columns = own.shape
            u = coordinates[start : start + rows]
            v = coordinates[start + rows : start + rows + columns]
            anchor = adaptation.anchors[start + rows : start + rows + columns]
            torch.testing.assert_close(anchor.norm(), torch.tensor(1.0).double(), rtol=1e-6, atol=0)
            assert not adaptation.anchors[start : start + rows].any()
            expected = own + scale * torch.einsum("i,j->ij", u, anchor + v)
            start += rows + columns
        else:
            expected = own + scale * coordinates[start : start + len(own)]
            start += len(own)
        torch.testing.assert_close(adaptation.weight(name), expected, rtol=1e-9, atol=1e-12)
    assert start == len(coordinates)


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_scores_are_those_of_the_moved_weights(kind: str, make_model: Any, make_examples: Examples) -> None:
    model, examples = make_model(kind), make_examples(3, 4)
    adaptation = _perturb(_attach(model))
    plain = make_model(kind)
    before = _scores(plain, examples)
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            parameter.copy_(adaptation.weight(name))
    expected = _scores(plain, examples)
    assert (expected - before).abs().max() > 1e-2
    torch.testing.assert_close(_scores(model, examples), expected, atol=1e-5, rtol=1e-5)


def test_gradients_flow_from_the_start(make_model: Any, make_examples: Examples) -> None:
    # In the release both factors of a matrix's move are 0 at the start, and so is its gradient.
    model = make_model()
    adaptation = _attach(model)
    score_choices(model, collate(make_examples(1, 3))).log_probability.sum().backward()
    assert adaptation.theta.grad is not None
    assert int((adaptation.theta.grad != 0).sum()) == adaptation.theta.numel()
    for name, own in adaptation._own.items():
        if own.ndim == 2 and "relative" not in name:
            (gradient,) = torch.autograd.grad(adaptation.weight(name).sum(), adaptation.theta)
            assert gradient.abs().max() > 0, name


def test_only_the_vector_the_scalars_and_the_seed_are_stored(make_model: Any) -> None:
    model = make_model()
    adaptation = _perturb(_attach(model, seed=1))
    stored = copy.deepcopy(adaptation.stored())
    tensors = len(list(model.named_parameters()))
    assert {name: tuple(t.shape) for name, t in stored.items()} == {
        "theta": (1, 300 - tensors), "scales": (1, tensors), "seed": (1, 1)
    }  # fmt: skip
    assert set(adaptation.state_dict()) == {"theta", "scales", "seed"}
    weights = {name: adaptation.weight(name).detach() for name in adaptation._own}
    adaptation.detach()
    other = _attach(model, seed=2)
    assert int(other.seed) != int(stored["seed"])
    other.load_stored(stored)
    assert all(torch.equal(other.weight(name), weight) for name, weight in weights.items())


def test_a_training_checkpoint_brings_its_seed_along(make_model: Any) -> None:
    adaptation = _perturb(_attach(make_model(), seed=1))
    other = _attach(make_model(), seed=2)
    other.load_state_dict(adaptation.state_dict())
    assert torch.equal(other.projection.normals, adaptation.projection.normals)
    assert torch.equal(other.anchors, adaptation.anchors)


def test_each_pass_projects_once_and_sees_the_vector_as_it_is(
    make_model: Any, make_examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = make_model(), make_examples(3, 4)
    adaptation = _perturb(_attach(model))
    calls = 0
    forward = adaptation.projection.forward

    def counted(theta: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return forward(theta)

    monkeypatch.setattr(adaptation.projection, "forward", counted)
    first = _scores(model, examples)
    assert calls == 1
    adaptation.theta.data.mul_(0.5)
    assert not torch.equal(_scores(model, examples), first)
    assert calls == 2
    batch = collate(examples)
    for _ in range(2):  # accumulated micro-batches: two graphs, two projections, one vector
        score_choices(model, batch).log_probability.sum().backward()
    assert calls == 4
    assert adaptation.theta.grad is not None
    twice = adaptation.theta.grad.clone()
    adaptation.zero_grad()
    score_choices(model, batch).log_probability.sum().backward()
    torch.testing.assert_close(twice, 2 * adaptation.theta.grad, rtol=1e-4, atol=1e-5)


def test_too_few_dimensions_are_refused(make_model: Any) -> None:
    model = make_model()
    tensors = len(list(model.parameters()))
    with pytest.raises(UserError, match=f"dimensions must be above {tensors}, a scalar for each tensor, not {tensors}"):
        _attach(model, dimensions=tensors)
    assert all(p.requires_grad for p in model.parameters())


def test_recipe() -> None:
    assert IntrinsicSAID.recipe == SmallIntrinsicSAID.recipe == {"steps": 3000, "learning_rate": 3e-2}
    assert SmallIntrinsicSAID().config.dimensions == 20_000


def test_a_step_moves_rows_and_vectors_at_first_order(make_model: Any) -> None:
    """Weights move by sqrt((rows + vectors) / D) times the norm of the step: 0.77 of it on T0-3B's shapes."""

    def share(model: nn.Module) -> float:
        moving = sum(p.shape[0] if p.ndim == 2 else p.numel() for p in model.parameters())
        return float((moving / sum(sum(p.shape) for p in model.parameters())) ** 0.5)

    assert share(empty_backbone("t0-3b")) == pytest.approx(0.77, abs=0.005)
    model = make_model().double()
    adaptation = _attach(model).double()
    generator = torch.Generator().manual_seed(0)
    adaptation.theta.data.copy_(torch.randn(adaptation.theta.shape, generator=generator) * 1e-6)
    with torch.no_grad():
        moved = sum((adaptation.weight(n) - own).square().sum() for n, own in model.named_parameters())
        step = adaptation.theta.norm()
    assert float(moved**0.5 / step) == pytest.approx(share(model), rel=0.1)
