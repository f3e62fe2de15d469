"""The fused head against autograd's own operations, and against finite differences."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tfew_pl import fused_head
from tfew_pl.encoding import Encoded, collate
from tfew_pl.fused_head import token_scores
from tfew_pl.ranking import score_choices

WIDTH = 8


def _head(vocabulary: int, frozen: bool, dtype: torch.dtype = torch.float32, width: int = WIDTH) -> nn.Linear:
    head = nn.Linear(width, vocabulary, bias=False, dtype=dtype)
    generator = torch.Generator().manual_seed(vocabulary)
    head.weight.data = torch.randn(vocabulary, width, generator=generator, dtype=dtype)
    return head.requires_grad_(not frozen)


def _drawn(seed: int, states: int, tokens: int, vocabulary: int, scale: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states; and of each token its state, its id, and whether it is one of a wrong choice."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(states, WIDTH, generator=generator) * scale
    state = torch.randint(states, (tokens,), generator=generator)
    token = torch.randint(vocabulary, (tokens,), generator=generator)
    return hidden, state, token, torch.rand(tokens, generator=generator) < 0.6


def _results(head: nn.Linear, hidden: Tensor, state: Tensor, token: Tensor, wrong: Tensor) -> list[Tensor]:
    """Scores, and the gradient of a weighted sum of them."""
    hidden = hidden.clone().requires_grad_()
    log_p, log_complement = token_scores(head, hidden, state, token, wrong)
    assert log_complement is not None
    values = torch.cat([log_p, log_complement])
    (gradient,) = torch.autograd.grad((values * torch.cos(torch.arange(len(values)))).sum(), hidden)
    return [log_p.detach(), log_complement.detach(), gradient]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    states=st.integers(1, 9),
    tokens=st.integers(1, 20),
    vocabulary=st.integers(2, 40),
    scale=st.sampled_from([0.0, 0.3, 2.0, 10.0, 40.0]),
    logits=st.sampled_from([1, 100, 1 << 22]),
)
def test_scores_and_gradients_equal_the_plain_ones(
    seed: int, states: int, tokens: int, vocabulary: int, scale: float, logits: int
) -> None:
    drawn = _drawn(seed, states, tokens, vocabulary, scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_head, "CPU_LOGITS", logits)
        found = _results(_head(vocabulary, frozen=True), *drawn)
        with torch.no_grad():
            ranked, nothing = token_scores(_head(vocabulary, frozen=True), *drawn[:3])
    exact = [x.double() if x.is_floating_point() else x for x in drawn]
    expected = _results(_head(vocabulary, frozen=False).double(), *exact)
    size = max(1.0, scale)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), two, atol=1e-5 * size, rtol=1e-5)
    torch.testing.assert_close(ranked.double(), expected[0], atol=1e-5 * size, rtol=1e-5)
    assert nothing is None


@pytest.mark.parametrize("logits", [10, 1 << 22])
def test_gradients_by_finite_differences(logits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_head, "CPU_LOGITS", logits)
    hidden, state, token, wrong = _drawn(3, 4, 9, 7, 1.0)
    hidden = hidden.double().requires_grad_()
    head = _head(7, frozen=True, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda h: token_scores(head, h, state, token, wrong), (hidden,))
    assert torch.autograd.gradcheck(lambda h: token_scores(head, h, state, token)[0], (hidden,))


@pytest.mark.parametrize("margin", [0.0, 20.7, 60.0, 300.0])
def test_both_are_exact_where_p_is_near_one_or_zero(margin: float) -> None:
    """300 is more than fp32's exponents hold."""
    head = nn.Linear(1, 4, bias=False).requires_grad_(False)
    head.weight.data = torch.tensor([[margin], [0.0], [-1.0], [-margin]])
    hidden = torch.ones(1, 1, requires_grad=True)
    token = torch.arange(4)
    log_p, log_complement = token_scores(head, hidden, torch.zeros(4, dtype=torch.long), token, token >= 0)
    logits = head.weight[:, 0].double()
    expected = logits.log_softmax(0)
    others = torch.stack([logits[token != t].logsumexp(0) for t in range(4)]) - logits.logsumexp(0)
    assert log_complement is not None
    torch.testing.assert_close(log_p.double(), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(log_complement.double(), others, rtol=1e-6, atol=1e-7)
    (log_p.sum() + log_complement.sum()).backward()
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()


def test_bfloat16_is_close() -> None:
    """As near to exact values as autograd's own operations in bfloat16."""
    drawn = _drawn(5, 6, 15, 40, 1.0)
    exact = _results(_head(40, frozen=True), *drawn)
    low = [x.bfloat16() if x.is_floating_point() else x for x in drawn]
    found = _results(_head(40, frozen=True).bfloat16(), *low)
    by_parts = _results(_head(40, frozen=False).bfloat16(), *low)
    assert [x.dtype for x in found] == [torch.float32, torch.float32, torch.bfloat16]
    for one, two, three in zip(found, by_parts, exact, strict=True):
        assert (one.float() - three).abs().max() <= 1.5 * (two.float() - three).abs().max() + 0.01


def test_a_trained_or_hooked_head_takes_part() -> None:
    hidden, state, token, wrong = _drawn(1, 3, 5, 9, 1.0)
    trained = _head(9, frozen=False)
    log_p, _ = token_scores(trained, hidden, state, token, wrong)
    log_p.sum().backward()
    assert trained.weight.grad is not None
    assert trained.weight.grad.abs().sum() > 0
    hooked = _head(9, frozen=True)
    before = token_scores(hooked, hidden, state, token)[0]
    hooked.register_forward_hook(lambda _module, _inputs, output: output * 0.5)
    assert (token_scores(hooked, hidden, state, token)[0] - before).abs().max() > 1e-2


def test_the_head_reads_a_state_once(make_model: Any, make_examples: Callable[..., list[Encoded]]) -> None:
    """One for the start of all of an example's choices, and one for each later token."""
    model = make_model("untied").requires_grad_(False)
    examples = make_examples(7, 5, most_choices=6)
    read: list[int] = []
    model.lm_head.register_forward_pre_hook(lambda _module, inputs: read.append(len(inputs[0])))
    score_choices(model, collate(examples))
    assert read == [sum(1 + sum(len(choice) - 1 for choice in e.choices) for e in examples)]


@pytest.mark.parametrize("kept", ["gradient", "nothing"])
def test_few_logits_are_there_at_once(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none of them between forward and backward."""
    monkeypatch.setattr(fused_head, "CPU_LOGITS", 1000)
    sizes: list[int] = []
    multiply = torch.nn.functional.linear

    def counted(*arguments: Any) -> Tensor:
        out = multiply(*arguments)
        sizes.append(out.numel())
        return out

    monkeypatch.setattr(fused_head.F, "linear", counted)
    hidden, state, token, wrong = _drawn(2, 60, 90, 100, 1.0)
    hidden.requires_grad_(kept == "gradient")
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        token_scores(_head(100, frozen=True), hidden, state, token, wrong)
    assert sizes == [1000] * 6
    assert sum(saved) <= len(token) * (WIDTH + 4)
