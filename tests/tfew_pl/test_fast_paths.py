"""Every fast path against the plain one: transformers' own modules, one batch, all choices at once."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tfew_pl import pass_costs
from tfew_pl.choices import ChoiceBatch, ChoiceScores
from tfew_pl.encoding import Encoded, collate
from tfew_pl.fused import fuse
from tfew_pl.method import Adaptation
from tfew_pl.module import TFewModule, loss_function
from tfew_pl.ranking import score_choices
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method, registered_methods
from tfew_pl.setting import Setting

SLOTS = 3
METHODS = sorted(registered_methods())
SLOTTED = [name for name in METHODS if registered_methods()[name].load().slotted]
Examples = Callable[..., list[Encoded]]


def _attach(model: nn.Module, setting: Any, method: str = "ia3", slots: int = SLOTS) -> Adaptation:
    """A method whose parameters are not those that it starts with."""
    adaptation = get_method(method).attach(model, slots=slots, generator=torch.Generator(), setting=setting)
    generator = torch.Generator().manual_seed(1)
    for parameter in adaptation.parameters():
        size = max(0.3 * float(parameter.detach().square().mean().sqrt()), 0.05)
        size = min(size, 3 / parameter.numel() ** 0.5)  # Intrinsic SAID's many dimensions move every weight
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=size)
    return adaptation


def _setting(model: Any, make_examples: Examples, words: Any) -> Setting:
    return Setting(words, lambda: (collate([e]) for e in make_examples(11, 3)), loss_function(model, Recipe()))


def _close(found: Tensor, expected: Tensor) -> None:
    """Within 1e-5 of the values' own size."""
    size = max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
    torch.testing.assert_close(found, expected, atol=1e-5 * size, rtol=0)


def _gradients(adaptation: nn.Module, value: Tensor) -> list[Tensor]:
    adaptation.zero_grad()
    value.backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in adaptation.parameters()]


@contextmanager
def _costs(move: float, pair: float) -> Iterator[None]:
    """Whether sequences are packed wherever it makes fewer vectors, and choices share a start, or neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pass_costs, "MOVED", {"cpu": move})
        patch.setattr(pass_costs, "PAIR", pair)
        yield


@pytest.fixture(scope="module", params=["untied", "tied"])
def pair(request: pytest.FixtureRequest, make_model: Any) -> Any:
    """A plain model and a fused one, each with (IA)3 of three slots.

    In double precision: in single precision, a drawn batch's gradients are up to 3e-5 off the exact ones either way.
    """
    plain = make_model(request.param)
    fast = copy.deepcopy(plain)
    fuse(fast)
    return [(model.double(), _attach(model, None).double()) for model in (plain, fast)]


def _plain_losses(model: Any, adaptation: Adaptation, batch: ChoiceBatch) -> tuple[ChoiceScores, Tensor]:
    """The scores, and the sum of T-Few's losses, with nothing split."""
    with adaptation.use_slots(batch.slot):
        scores = score_choices(model, batch, complement=True, tokens=10**9)
    module = TFewModule(model, adaptation, Recipe(), choices=80)
    module._score_by_length = lambda *_, **__: scores  # type: ignore[method-assign]
    return scores, module.losses(batch)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 7),
    most_choices=st.integers(1, 80),
    most_tokens=st.integers(1, 6),
    tokens=st.sampled_from([1, 7, 50, 400, 10**9]),
    overhead=st.sampled_from([0.0, 5.0, 1e9]),
    move=st.sampled_from([0.0, 1e9]),
    cost_of_pair=st.sampled_from([0.0, 1e9]),
)
def test_scores_and_gradients_equal_the_plain_ones(
    pair: Any,
    make_examples: Examples,
    seed: int,
    count: int,
    most_choices: int,
    most_tokens: int,
    tokens: int,
    overhead: float,
    move: float,
    cost_of_pair: float,
) -> None:
    examples = make_examples(seed, count, slots=SLOTS, most_choices=most_choices, most_tokens=most_tokens)
    batch = collate(examples)
    (plain, of_plain), (fast, of_fast) = pair
    scores, loss = _plain_losses(plain, of_plain, batch)
    module = TFewModule(fast, of_fast, Recipe(), choices=80)
    module._overhead = overhead
    module.score = lambda batch, complement=False: score_choices(  # type: ignore[method-assign]
        fast, batch, complement, within=of_fast.passes(batch.slot), tokens=tokens, packed=True
    )
    with _costs(move, cost_of_pair):
        found = module._score_by_length(batch, True)
        fast_loss = module.losses(batch)
        of_fast_loss = _gradients(of_fast, fast_loss)
    _close(found.log_probability, scores.log_probability)
    _close(found.log_complement, scores.log_complement)
    _close(fast_loss, loss)
    one, two = (torch.cat([g.flatten() for g in gradients]) for gradients in (of_fast_loss, _gradients(of_plain, loss)))
    _close(one, two)


@pytest.mark.parametrize("kind", ["untied", "tied"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_part_in_fused_modules_and_parts(
    method: str, kind: str, make_model: Any, make_examples: Examples, words: Any
) -> None:
    plain = make_model(kind)
    fast = copy.deepcopy(plain)
    fuse(fast)
    slots = SLOTS if method in SLOTTED else 1
    batch = collate(make_examples(6, 7, slots=slots, most_choices=9))
    results = []
    for model, tokens in ((plain, 10**9), (fast, 20)):
        adaptation = _attach(model, _setting(model, make_examples, words), method, slots)
        within, packed = adaptation.passes(batch.slot), adaptation.by_vector
        with _costs(move=0, pair=0):
            scores = score_choices(model, batch, complement=True, within=within, tokens=tokens, packed=packed)
            value = scores.log_probability.sum() + scores.log_complement.sum()
            results.append([scores.log_probability, scores.log_complement, *_gradients(adaptation, value / 100)])
        adaptation.detach()
    for expected, found in zip(*results, strict=True):
        _close(found, expected)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 6),
    most_choices=st.integers(1, 9),
    most_tokens=st.integers(1, 6),
    vectors=st.integers(1, 40),
    tokens=st.sampled_from([1, 50, 10**9]),
)
@pytest.mark.parametrize("method", ["prompt-tuning-10", "prefix-tuning"])
@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_choices_behind_one_start_equal_those_behind_their_own(
    kind: str,
    method: str,
    make_model: Any,
    make_examples: Examples,
    seed: int,
    count: int,
    most_choices: int,
    most_tokens: int,
    vectors: int,
    tokens: int,
    words: Any,
) -> None:
    batch = collate(make_examples(seed, count, slots=SLOTS, most_choices=most_choices, most_tokens=most_tokens))
    model = make_model(kind).double()
    fuse(model)
    generator = torch.Generator().manual_seed(seed)
    adaptation = get_method(method, {"tokens": vectors}).attach(
        model,
        slots=SLOTS,
        generator=generator,
        setting=Setting(words, lambda: iter(()), loss_function(model, Recipe())),
    )
    adaptation.double()
    before = adaptation.before_decoder
    assert before == (vectors if method == "prompt-tuning-10" else 0)
    results = []
    for pair_cost in (0.0, 1e9):
        within = adaptation.passes(batch.slot)
        with _costs(move=0, pair=pair_cost):
            scores = score_choices(model, batch, complement=True, within=within, tokens=tokens, before=before)
            value = scores.log_probability.sum() + scores.log_complement.sum()
            results.append([scores.log_probability, scores.log_complement, *_gradients(adaptation, value / 100)])
    for expected, found in zip(*results, strict=True):
        _close(found, expected)


@pytest.mark.parametrize(
    ("training", "hooked", "shared"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_a_prompt_is_run_once_for_all_choices_of_an_example(
    training: bool, hooked: bool, shared: bool, make_model: Any, make_examples: Examples
) -> None:
    model = make_model("untied")
    fuse(model)
    adaptation = get_method("prompt-tuning-100").attach(model, generator=torch.Generator())
    batch = collate(make_examples(0, 4, most_choices=5))
    examples, choices, tokens = batch.choice_ids.shape
    shapes: list[torch.Size] = []
    model.decoder.final_layer_norm.register_forward_pre_hook(lambda _module, inputs: shapes.append(inputs[0].shape[:2]))
    model.train(training)
    if hooked:
        model.decoder.block[0].register_forward_hook(lambda *_: None)
    TFewModule(model, adaptation, Recipe(), choices=9).score(batch)
    read = choices * (tokens - 1)  # a choice's last token is not
    assert shapes == [(examples, 100 + 1 + read) if shared else (examples * choices, 100 + tokens)]


@pytest.mark.parametrize(("slots", "trained"), [(1, True), (1, False), (SLOTS, True), (SLOTS, False)])
def test_a_row_holds_all_examples_of_a_slot_without_padding(
    slots: int, trained: bool, make_model: Any, make_examples: Examples
) -> None:
    model = make_model("untied")
    fuse(model)
    adaptation = get_method("ia3").attach(model, slots=slots, generator=torch.Generator())
    examples = make_examples(2, 4, slots=slots, most_choices=3)
    batch = collate([*examples, examples[0]])
    shapes: list[torch.Size] = []
    for stack in (model.encoder, model.decoder):
        stack.final_layer_norm.register_forward_pre_hook(lambda _module, inputs: shapes.append(inputs[0].shape[:2]))
    module = TFewModule(model, adaptation, Recipe(), choices=9)
    with torch.set_grad_enabled(trained), _costs(move=0, pair=0):
        module.score(batch)
    read, start = batch.choice_mask[:, :, 1:].flatten(1).sum(1), 1
    inputs = batch.input_mask.sum(1).clone()
    if not trained:
        inputs[-1] = 0  # read once, for it and its twin
    of_slot = torch.zeros(len(inputs), dtype=torch.long) if batch.slot is None else batch.slot
    widths = [max(int(of[of_slot == slot].sum()) for slot in of_slot.unique()) for of in (inputs, read + start)]
    assert shapes == [(len(of_slot.unique()), width) for width in widths]


@pytest.mark.parametrize("kind", ["untied", "tied"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_scores_and_trains_in_bfloat16(
    method: str, kind: str, make_model: Any, make_examples: Examples, words: Any
) -> None:
    exact = make_model(kind)
    rough = copy.deepcopy(exact).bfloat16()
    fuse(rough)
    slots = SLOTS if method in SLOTTED else 1
    batch = collate(make_examples(6, 4, slots=slots))
    one, two = (_attach(model, _setting(model, make_examples, words), method, slots) for model in (exact, rough))
    assert all(p.dtype == torch.float32 for p in two.parameters())
    scores = score_choices(rough, batch, True, within=two.passes(batch.slot), tokens=20, packed=two.by_vector)
    assert scores.log_probability.dtype == torch.float32
    value = scores.log_probability.sum() + scores.log_complement.sum()
    assert all(gradient.isfinite().all() and gradient.any() for gradient in _gradients(two, value))
    two.load_stored(one.stored())  # a FISH mask's places are others in another precision
    with torch.no_grad():
        expected, found = (
            score_choices(model, batch, within=adaptation.passes(batch.slot)).log_probability
            for model, adaptation in ((exact, one), (rough, two))
        )
    torch.testing.assert_close(found, expected, atol=0.3, rtol=0.1)


def test_memory_does_not_grow_with_the_choices(make_model: Any) -> None:
    """What autograd keeps between forward and backward, for 20 and for 80 choices."""
    model = make_model("untied")
    fuse(model)
    adaptation = _attach(model, None, slots=1)

    def kept(choices: int, tokens: int) -> int:
        example = Encoded((5, 6, 7, 1), tuple((8, 9 + i, 1) for i in range(choices)), gold=0)
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            score_choices(model, collate([example]), complement=True, tokens=tokens)
        return sum(sizes)

    assert kept(80, 10**9) > 3 * kept(20, 10**9)
    assert kept(80, 30) < 1.2 * kept(20, 30)
    adaptation.detach()
