import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tfew_pl.choices import ChoiceBatch, ChoiceScores
from tfew_pl.encoding import Encoded, collate
from tfew_pl.losses import length_norm_loss, lm_loss, release_unlikelihood_loss, unlikelihood_loss

Values = dict[tuple[int, int, int], float]
"""log p of a token by example, choice and position."""


def _drawn(seed: int, examples: list[Encoded]) -> Values:
    generator = torch.Generator().manual_seed(seed)
    return {
        (e, c, t): -3 * float(torch.rand((), generator=generator, dtype=torch.float64)) - 0.05
        for e, example in enumerate(examples)
        for c, choice in enumerate(example.choices)
        for t in range(len(choice))
    }


def _scores(values: Values, batch: ChoiceBatch) -> ChoiceScores:
    """What `score_choices` promises: zeros where there is no token, and no complement for the gold choice."""
    log_p, complement = (torch.zeros(batch.choice_mask.shape, dtype=torch.float64) for _ in range(2))
    for (e, c, t), value in values.items():
        log_p[e, c, t] = value
        if c != batch.gold[e]:
            complement[e, c, t] = math.log1p(-math.exp(value))
    return ChoiceScores(log_p, complement)


def _padded(batch: ChoiceBatch, tokens: int = 3, choices: int = 2) -> ChoiceBatch:
    """The same with more padding behind the tokens and behind the choices."""

    def pad(tensor: Tensor) -> Tensor:
        return torch.nn.functional.pad(tensor, (0, tokens, 0, choices))

    return replace(batch, choice_ids=pad(batch.choice_ids), choice_mask=pad(batch.choice_mask))


@pytest.fixture(params=range(5))
def case(request: pytest.FixtureRequest, make_examples: Callable[..., list[Encoded]]) -> Any:
    examples = make_examples(request.param, 4)
    return examples, collate(examples), _drawn(request.param, examples)


def _lm(examples: list[Encoded], values: Values) -> float:
    total, count = 0.0, 0
    for e, example in enumerate(examples):
        for t in range(len(example.choices[example.gold])):
            total -= values[e, example.gold, t]
            count += 1
    return total / count


def _unlikelihood(examples: list[Encoded], values: Values, eos: bool, offset: float = 0.0) -> float:
    """Eq. 1: -sum_n sum_t log(1 - p(y_t^(n))) / sum_n T^(n), over wrong choices."""
    total, count = 0.0, 0
    for e, example in enumerate(examples):
        for c, choice in enumerate(example.choices):
            if c == example.gold:
                continue
            for t in range(len(choice) - (0 if eos else 1)):
                total -= math.log(1 - math.exp(values[e, c, t]) + offset)
                count += 1
    return total / count if count else 0.0


def _length_norm(examples: list[Encoded], values: Values) -> float:
    """Eq. 2: -log(exp(beta(x, y)) / (exp(beta(x, y)) + sum_n exp(beta(x, y^(n))))), beta a mean over tokens."""
    total = 0.0
    for e, example in enumerate(examples):
        beta = [
            sum(values[e, c, t] for t in range(len(choice))) / len(choice) for c, choice in enumerate(example.choices)
        ]
        total -= math.log(math.exp(beta[example.gold]) / sum(map(math.exp, beta)))
    return total / len(examples)


def test_lm_loss(case: Any) -> None:
    examples, batch, values = case
    assert lm_loss(_scores(values, batch), batch).item() == pytest.approx(_lm(examples, values), rel=1e-6)


@pytest.mark.parametrize("eos", [True, False])
def test_unlikelihood_loss(case: Any, eos: bool) -> None:
    examples, batch, values = case
    found = unlikelihood_loss(_scores(values, batch), batch, eos).item()
    assert found == pytest.approx(_unlikelihood(examples, values, eos), rel=1e-6)


def test_length_norm_loss(case: Any) -> None:
    examples, batch, values = case
    found = length_norm_loss(_scores(values, batch), batch).item()
    assert found == pytest.approx(_length_norm(examples, values), rel=1e-6)


def _release(examples: list[Encoded], values: Values, batch: ChoiceBatch, eos: bool) -> float:
    """-sum log(1 - p + 0.01) over every place of the tensor, p = 0 at padding and gold tokens, by wrong tokens."""
    _, choices, tokens = batch.choice_mask.shape
    total, count = 0.0, 0
    for e, example in enumerate(examples):
        for c in range(choices):
            choice = example.choices[c] if c < len(example.choices) else ()
            kept = 0 if c == example.gold else max(0, len(choice) - (0 if eos else 1))
            count += kept
            for t in range(tokens):
                p = math.exp(values[e, c, t]) if t < kept else 0.0
                total -= math.log(1 - p + 0.01)
    return total / max(count, 1)


@pytest.mark.parametrize("eos", [True, False])
@pytest.mark.parametrize("padding", [0, 3])
def test_release_unlikelihood_loss(case: Any, eos: bool, padding: int) -> None:
    examples, batch, values = case
    batch = _padded(batch, padding, padding)
    found = release_unlikelihood_loss(_scores(values, batch), batch, eos).item()
    assert found == pytest.approx(_release(examples, values, batch, eos), rel=1e-6)


def test_release_form_depends_on_padding_and_can_be_negative(case: Any) -> None:
    _, batch, values = case
    wide = _padded(batch, 300)
    first = release_unlikelihood_loss(_scores(values, batch), batch).item()
    second = release_unlikelihood_loss(_scores(values, wide), wide).item()
    assert second < first
    assert second < 0


@pytest.mark.parametrize("loss", [lm_loss, unlikelihood_loss, length_norm_loss])
def test_losses_of_the_paper_do_not_depend_on_padding(case: Any, loss: Callable[..., Tensor]) -> None:
    _, batch, values = case
    wide = _padded(batch)
    first, second = loss(_scores(values, batch), batch), loss(_scores(values, wide), wide)
    assert torch.equal(first, second) or first.item() == pytest.approx(second.item(), rel=1e-12)


LOSSES = [lm_loss, unlikelihood_loss, release_unlikelihood_loss, length_norm_loss]


@pytest.mark.parametrize("loss", LOSSES)
def test_several_slots_equal_the_losses_slot_by_slot(
    loss: Callable[..., Tensor], make_examples: Callable[..., list[Encoded]]
) -> None:
    examples = make_examples(7, 9, slots=3)
    slots = [e.slot for e in examples]
    assert set(slots) == {0, 1, 2}
    batch, values = collate(examples), _drawn(7, examples)
    single = _scores(values, batch)
    scores = ChoiceScores(single.log_probability.float(), single.log_complement.float())
    found = loss(scores, batch, slots=4)
    assert found.shape == (4,)
    for slot in range(3):
        rows = torch.tensor([i for i, s in enumerate(slots) if s == slot])
        part = replace(batch, gold=batch.gold[rows], choice_mask=batch.choice_mask[rows], slot=None,
                       choice_ids=batch.choice_ids[rows])  # fmt: skip
        alone = loss(ChoiceScores(scores.log_probability[rows], scores.log_complement[rows]), part)
        assert found[slot].item() == pytest.approx(alone.item(), rel=1e-5)
    assert found[3] == 0, "no example, no loss"


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_a_value_a_slot(case: Any, loss: Callable[..., Tensor]) -> None:
    _, batch, values = case
    assert loss(_scores(values, batch), batch).shape == (1,)


def test_only_choice_has_no_unlikelihood() -> None:
    examples = [Encoded((5, 1), ((7, 1),), gold=0)]
    batch = collate(examples)
    scores = _scores(_drawn(0, examples), batch)
    assert unlikelihood_loss(scores, batch).item() == 0
    assert length_norm_loss(scores, batch).item() == 0


def _from_logits(logits: Tensor, batch: ChoiceBatch) -> ChoiceScores:
    """Scores in float64, as functions of the logits: log p, and log(1 - p) the naive way."""
    log_p = logits.log_softmax(-1).gather(-1, batch.choice_ids[..., None])[..., 0]
    wrong = batch.choice_mask & (torch.arange(batch.choice_ids.shape[1]) != batch.gold[:, None])[..., None]
    zeros = torch.zeros_like(log_p)
    return ChoiceScores(
        torch.where(batch.choice_mask, log_p, zeros),
        torch.where(wrong, torch.log(1 - log_p.exp()), zeros),
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_by_finite_differences(loss: Callable[..., Tensor]) -> None:
    examples = [Encoded((5, 1), ((2, 1), (3, 4, 1), (1,)), gold=1), Encoded((5, 1), ((3, 1), (2, 1)), gold=0)]
    batch = collate(examples)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(*batch.choice_ids.shape, 5, generator=generator, dtype=torch.float64)

    def value(logits: Tensor) -> Tensor:
        return loss(_from_logits(logits, batch), batch).sum()

    assert torch.autograd.gradcheck(value, (logits.requires_grad_(),))
    value(logits).backward()
    assert logits.grad is not None
    assert not logits.grad[~batch.choice_mask].any(), "padding has no gradient"
    if "unlikelihood" in loss.__name__:
        assert not logits.grad[[0, 1], batch.gold].any(), "nor has the correct choice"
    assert logits.grad.any()


def test_release_gradient_does_not_depend_on_padding() -> None:
    examples = [Encoded((5, 1), ((2, 1), (3, 4, 1)), gold=0)]
    gradients = []
    for padding in (0, 4):
        batch = _padded(collate(examples), padding, 0)
        logits = torch.zeros(*batch.choice_ids.shape, 5, dtype=torch.float64, requires_grad=True)
        release_unlikelihood_loss(_from_logits(logits, batch), batch).sum().backward()
        assert logits.grad is not None
        gradients.append(logits.grad[:, :, :3])
    assert torch.equal(*gradients)


def test_release_form_is_finite_at_p_one() -> None:
    batch = collate([Encoded((5, 1), ((2, 1), (3, 1)), gold=0)])
    log_p = torch.zeros(1, 2, 2, requires_grad=True)
    loss = release_unlikelihood_loss(ChoiceScores(log_p, torch.zeros(1, 2, 2)), batch).sum()
    assert loss.item() == pytest.approx((2 * -math.log(0.01) - 2 * math.log(1.01)) / 2, rel=1e-5)
    loss.backward()
    assert log_p.grad is not None
    assert log_p.grad.isfinite().all()


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_mean_over_devices_is_the_batchs(
    loss: Callable[..., Tensor], slots: int, make_examples: Callable[..., list[Encoded]]
) -> None:
    """Devices whose examples have different numbers of choices and tokens, and of slots none at all."""
    examples = [replace(e, slot=n % 3 * (slots - 1) // 2) for n, e in enumerate(make_examples(3, 6))]
    batch, values = collate(examples), _drawn(3, examples)
    parts = [torch.tensor(part) for part in ([0, 3], [1, 2], [4, 5])]
    whole = _scores(values, batch)
    scores = ChoiceScores(whole.log_probability.float(), whole.log_complement.float())
    devices = [
        (ChoiceScores(scores.log_probability[part], scores.log_complement[part]), _rows(batch, part)) for part in parts
    ]
    counts: list[Tensor] = []

    def note(count: Tensor) -> Tensor:
        counts.append(count)
        return count

    for of_device in devices:
        loss(*of_device, slots=slots, over_devices=note)
    mean = torch.stack(counts).float().mean(0)
    found = [loss(*of_device, slots=slots, over_devices=lambda _: mean) for of_device in devices]
    expected = loss(scores, batch, slots=slots)
    torch.testing.assert_close(torch.stack(found).mean(0), expected)


def _rows(batch: ChoiceBatch, part: Tensor) -> ChoiceBatch:
    """Some of the examples, padded as before: the release's L_UL depends on that."""
    return ChoiceBatch(**{name: None if tensor is None else tensor[part] for name, tensor in vars(batch).items()})
