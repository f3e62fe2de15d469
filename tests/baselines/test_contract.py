"""What every registered method keeps to, on a gated untied and on a ReLU tied T5."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import T5ForConditionalGeneration

from tfew_pl.adafactor import SlotAdafactor, clip_slots
from tfew_pl.adaptation_file import load_into, to_bytes
from tfew_pl.choices import ChoiceBatch
from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation, Method
from tfew_pl.module import TFewModule
from tfew_pl.ranking import score_choices
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method, registered_methods

NAMES = sorted(registered_methods())
SLOTTED = [name for name in NAMES if registered_methods()[name].load().slotted]
STARTS_ELSEWHERE = {
    "adapter": "both matrices are drawn at random (release)",
    "compacter": "all factors are drawn at random (release)",
    "compacter++": "all factors are drawn at random (release)",
    "prefix-tuning": "prefixes take part in attention from the start",
    "prompt-tuning-10": "prompts take part in attention from the start",
    "prompt-tuning-100": "prompts take part in attention from the start",
}
"""Methods that change the scores before any training, and why."""

Examples = Callable[..., list[Encoded]]
SettingMaker = Callable[[T5ForConditionalGeneration], Any]


@pytest.fixture(params=["untied", "tied"])
def model(request: pytest.FixtureRequest, make_model: Any) -> T5ForConditionalGeneration:
    found = make_model(request.param)
    assert isinstance(found, T5ForConditionalGeneration)
    return found


@pytest.fixture(params=NAMES)
def method(request: pytest.FixtureRequest) -> Method:
    return get_method(request.param)


@pytest.fixture
def attach(method: Method, make_setting: SettingMaker) -> Callable[..., Adaptation]:
    def attach(model: T5ForConditionalGeneration, slots: int = 1, seed: int = 0) -> Adaptation:
        generator = torch.Generator().manual_seed(seed)
        return method.attach(model, slots=slots, generator=generator, setting=make_setting(model))

    return attach


def _perturb(adaptation: Adaptation, seed: int = 0) -> Adaptation:
    generator = torch.Generator().manual_seed(seed)
    for parameter in adaptation.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        size = max(0.3 * float(parameter.detach().square().mean().sqrt()), 0.05)
        parameter.data.add_(noise, alpha=size)
    return adaptation


@torch.no_grad()
def _scores(model: T5ForConditionalGeneration, examples: list[Encoded]) -> Tensor:
    return score_choices(model, collate(examples)).log_probability


def _traces(model: nn.Module) -> dict[str, Any]:
    """Everything about a model's modules that an adaptation could leave changed, weights aside."""
    return {
        path: (type(m), m.training, sorted(vars(m)), list(m._parameters), list(m._buffers), list(m._modules),
               len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
        for path, m in model.named_modules()
    }  # fmt: skip


def test_it_starts_as_the_identity_and_leaves_no_trace(
    method: Method, model: T5ForConditionalGeneration, attach: Any, make_examples: Examples
) -> None:
    examples = make_examples(0, 4)
    model.shared.weight.requires_grad_(False)
    before, state, traces = _scores(model, examples), copy.deepcopy(model.state_dict()), _traces(model)
    trainable = {name: p.requires_grad for name, p in model.named_parameters()}
    adaptation = attach(model)
    started = _scores(model, examples)
    if method.name in STARTS_ELSEWHERE:
        assert not torch.equal(started, before)
    else:
        torch.testing.assert_close(started, before, atol=1e-5, rtol=1e-5)
    _perturb(adaptation)
    assert (_scores(model, examples) - before).abs().max() > 1e-3
    adaptation.detach()
    after = model.state_dict()
    assert list(after) == list(state)
    assert all(torch.equal(after[name], state[name]) for name in state)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == trainable
    assert _traces(model) == traces
    assert torch.equal(_scores(model, examples), before)


def test_gradients_reach_every_trainable_tensor_and_no_other(
    model: T5ForConditionalGeneration, attach: Any, make_examples: Examples
) -> None:
    adaptation = _perturb(attach(model))
    own = {id(p) for p in adaptation.parameters()}
    score_choices(model, collate(make_examples(1, 6))).log_probability.sum().backward()
    for name, parameter in adaptation.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    for name, parameter in model.named_parameters():
        assert id(parameter) in own or (not parameter.requires_grad and parameter.grad is None), name


def test_saved_and_loaded_it_gives_the_same_scores(
    method: Method, model: T5ForConditionalGeneration, attach: Any, make_examples: Examples, tmp_path: Path
) -> None:
    examples = make_examples(2, 3)
    adaptation = _perturb(attach(model))
    adapted = _scores(model, examples)
    path = tmp_path / "adaptation.safetensors"
    path.write_bytes(to_bytes(adaptation, method.name, "0123456789abcdef"))
    adaptation.detach()
    other = attach(model, seed=1)
    load_into(other, path, method.name, "0123456789abcdef")
    torch.testing.assert_close(_scores(model, examples), adapted, atol=1e-5, rtol=1e-5)
    other.detach()


def test_merged_it_is_an_ordinary_model_with_the_same_scores(
    method: Method,
    model: T5ForConditionalGeneration,
    attach: Any,
    make_examples: Examples,
    plain_scores: Any,
    tmp_path: Path,
) -> None:
    traces = _traces(model)
    adaptation = _perturb(attach(model))
    assert adaptation.mergeable == method.mergeable
    if not method.mergeable:
        with pytest.raises(UserError, match="cannot be merged"):
            adaptation.merge()
        return
    examples = make_examples(2, 3)
    adapted = _scores(model, examples)
    adaptation.merge()
    torch.testing.assert_close(_scores(model, examples), adapted, atol=1e-5, rtol=1e-5)
    assert _traces(model) == traces
    model.save_pretrained(tmp_path)
    reloaded = T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        for row, example in enumerate(examples):
            for number, choice in enumerate(example.choices):
                expected = adapted[row, number, : len(choice)].double()
                found = plain_scores(reloaded, example.input_ids, choice)
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def _slot_of(bank: Mapping[str, Tensor], slot: int) -> dict[str, Tensor]:
    return {name: values[slot : slot + 1].clone() for name, values in bank.items()}


@pytest.mark.parametrize("method", SLOTTED, indirect=True)
def test_a_mixed_batch_equals_its_examples_slot_by_slot(
    method: Method, model: T5ForConditionalGeneration, attach: Any, make_examples: Examples
) -> None:
    examples = make_examples(4, 9, slots=3)
    assert {e.slot for e in examples} == {0, 1, 2}
    adaptation = _perturb(attach(model, slots=3))
    batch = collate(examples)
    with torch.no_grad(), adaptation.use_slots(batch.slot):
        mixed = score_choices(model, batch).log_probability
    bank = copy.deepcopy(adaptation.state_dict())
    adaptation.detach()
    for slot in range(3):
        alone = attach(model)
        alone.load_state_dict(_slot_of(bank, slot))
        for row, example in enumerate(examples):
            if example.slot == slot:
                found = _scores(model, [replace(example, slot=0)])[0]
                expected = mixed[row, : found.shape[0], : found.shape[1]]
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        alone.detach()


def _train(
    model: T5ForConditionalGeneration, adaptation: Adaptation, batches: list[ChoiceBatch], method: Method
) -> None:
    """Steps of Adafactor with clipping, as in a run, without dropout."""
    recipe = Recipe(**method.recipe)
    module = TFewModule(model, adaptation, recipe, choices=6)
    optimizer = SlotAdafactor(adaptation.parameters(), recipe.learning_rate, recipe.scale_parameter)
    for batch in batches:
        optimizer.zero_grad()
        module.losses(batch).backward()
        clip_slots(adaptation.parameters(), recipe.gradient_clip)
        optimizer.step()


@pytest.mark.parametrize("method", SLOTTED, indirect=True)
def test_two_slots_trained_together_equal_the_two_trained_apart(
    method: Method, model: T5ForConditionalGeneration, attach: Any, make_examples: Examples
) -> None:
    together = _perturb(attach(model, slots=2))
    bank = copy.deepcopy(together.state_dict())
    parts = [[[replace(e, slot=slot) for e in make_examples(20 + 2 * step + slot, 3)] for slot in (0, 1)]
             for step in range(2)]  # fmt: skip
    _train(model, together, [collate([*first, *second]) for first, second in parts], method)
    test = make_examples(40, 3)
    together.detach()
    for slot in (0, 1):
        alone = attach(model)
        alone.load_state_dict(_slot_of(bank, slot))
        before = _scores(model, test)
        _train(model, alone, [collate([replace(e, slot=0) for e in pair[slot]]) for pair in parts], method)
        apart = _scores(model, test)
        assert (apart - before).abs().max() > 1e-4
        moved, start = _slot_of(together.state_dict(), slot), _slot_of(bank, slot)
        for name, parameter in alone.named_parameters():
            if method.name == "bitfit" and name.endswith("/k"):
                continue  # attention is the same whatever is added to all keys: its gradient is noise
            change = (parameter - start[name]).abs().max()
            assert change > 0
            assert (moved[name] - parameter).abs().max() < 0.03 * change, name
        alone.load_state_dict(moved)
        torch.testing.assert_close(_scores(model, test), apart, atol=2e-4, rtol=2e-4)
        alone.detach()


@pytest.mark.parametrize("method", [name for name in NAMES if name not in SLOTTED], indirect=True)
def test_a_method_without_slots_refuses_two(method: Method, model: T5ForConditionalGeneration, attach: Any) -> None:
    with pytest.raises(UserError, match=f"method {method.name} cannot have 2 slots"):
        attach(model, slots=2)
    assert all(p.requires_grad for p in model.parameters())


def test_counting_needs_no_weights(method: Method, model: T5ForConditionalGeneration, attach: Any) -> None:
    config, tied = copy.deepcopy(model.config), model.lm_head.weight is model.shared.weight
    config.tie_word_embeddings = True  # the stacks' embeddings are the shared ones, whatever the head is
    counted = attach(model).counts()
    with torch.device("meta"):
        empty = T5ForConditionalGeneration(config)
    if not tied:
        empty.lm_head.weight = nn.Parameter(torch.empty_like(empty.shared.weight))
    assert method.attach(empty, generator=torch.Generator()).counts() == counted
    assert counted.trainable > 0
    assert 0 <= counted.inference_extra <= counted.stored


def test_its_recipe_names_fields_of_the_recipe(method: Method) -> None:
    assert Recipe(**method.recipe).steps > 0
