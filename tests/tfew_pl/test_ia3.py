import copy
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration

from baselines.bitfit import BitFit
from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.fused import fuse
from tfew_pl.ia3 import IA3, IA3Adaptation
from tfew_pl.ranking import score_choices

Examples = Callable[..., list[Encoded]]


def _attach(model: nn.Module, slots: int = 1) -> IA3Adaptation:
    return IA3().attach(model, slots=slots, generator=torch.Generator().manual_seed(0))


def _perturb(adaptation: IA3Adaptation, seed: int = 0) -> IA3Adaptation:
    generator = torch.Generator().manual_seed(seed)
    for parameter in adaptation.parameters():
        parameter.data.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
    return adaptation


@torch.no_grad()
def _scores(model: Any, examples: list[Encoded]) -> torch.Tensor:
    return score_choices(model, collate(examples)).log_probability


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_identity_at_the_start_and_restored_afterwards(kind: str, make_model: Any, make_examples: Examples) -> None:
    model, examples = make_model(kind), make_examples(0, 4)
    before, state = _scores(model, examples), copy.deepcopy(model.state_dict())
    adaptation = _attach(model)
    assert torch.equal(_scores(model, examples), before)
    _perturb(adaptation)
    assert (_scores(model, examples) - before).abs().max() > 1e-2
    adaptation.detach()
    assert torch.equal(_scores(model, examples), before)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    after = model.state_dict()
    assert list(after) == list(state)
    assert all(torch.equal(after[name], state[name]) for name in state)


def test_540672_parameters_on_t0_3b() -> None:
    config = T5Config(vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_decoder_layers=24,
                      num_heads=32, feed_forward_proj="gated-gelu"
    )  # fmt: skip
    with torch.device("meta"):
        model = T5ForConditionalGeneration(config)
    counted = sum(p.numel() for p in _attach(model).parameters())
    # l_k and l_v in 24 + 24 + 24 attentions of 32 x 64, l_ff of 5120 in 48 blocks (Table 5: 540K).
    assert counted == 72 * 2 * 2048 + 48 * 5120 == 540_672


def test_gradients_only_on_the_vectors(make_model: Any, make_examples: Examples) -> None:
    model = make_model()
    adaptation = _attach(model)
    score_choices(model, collate(make_examples(1, 3))).log_probability.sum().backward()
    assert all(not p.requires_grad and p.grad is None for p in model.parameters())
    for name, parameter in adaptation.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_vectors_are_where_the_paper_puts_them(make_model: Any) -> None:
    paths = {name.removeprefix("scales.").replace("/", ".") for name in _attach(make_model()).state_dict()}
    attentions = ["encoder.block.{}.layer.0.SelfAttention", "decoder.block.{}.layer.0.SelfAttention",
                  "decoder.block.{}.layer.1.EncDecAttention"]  # fmt: skip
    feeds = ["encoder.block.{}.layer.1.DenseReluDense.wo", "decoder.block.{}.layer.2.DenseReluDense.wo"]
    expected = {f"{a.format(i)}.{m}" for a in attentions for i in range(2) for m in "kv"}
    assert paths == expected | {f.format(i) for f in feeds for i in range(2)}


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_merged_equals_unmerged_and_is_an_ordinary_model(
    kind: str, make_model: Any, make_examples: Examples, plain_scores: Any, tmp_path: Path
) -> None:
    model, examples = make_model(kind), make_examples(2, 3)
    adaptation = _perturb(_attach(model))
    adapted = _scores(model, examples)
    adaptation.merge()
    torch.testing.assert_close(_scores(model, examples), adapted, atol=1e-5, rtol=1e-5)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    model.save_pretrained(tmp_path)
    reloaded = T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        for row, example in enumerate(examples):
            for number, choice in enumerate(example.choices):
                expected = adapted[row, number, : len(choice)].double()
                found = plain_scores(reloaded, example.input_ids, choice)
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_biases_are_scaled_with_their_weights(make_model: Any, make_examples: Examples) -> None:
    model, examples = make_model(), make_examples(2, 3)
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and path != "lm_head":
            module.bias = torch.nn.Parameter(torch.linspace(-1, 1, module.out_features))
    adaptation = _perturb(_attach(model))
    adapted = _scores(model, examples)
    adaptation.merge()
    torch.testing.assert_close(_scores(model, examples), adapted, atol=1e-5, rtol=1e-5)


def test_in_bf16_products_are_rounded_once(make_model: Any) -> None:
    model = make_model().bfloat16()
    before = copy.deepcopy(model.state_dict())
    adaptation = _perturb(_attach(model))
    scales = {name.removeprefix("scales."): scale[0].double() for name, scale in adaptation.state_dict().items()}
    adaptation.merge()
    for key, scale in scales.items():
        name = f"{key.replace('/', '.')}.weight"
        exact = before[name].double() * (scale if name.endswith(".wo.weight") else scale.unsqueeze(1))
        assert torch.equal(model.state_dict()[name], exact.bfloat16())


def test_mixed_batch_equals_running_each_slot_alone(make_model: Any, make_examples: Examples) -> None:
    model, examples = make_model(), make_examples(4, 9, slots=3)
    assert {e.slot for e in examples} == {0, 1, 2}
    adaptation = _perturb(_attach(model, slots=3))
    batch = collate(examples)
    with torch.no_grad(), adaptation.use_slots(batch.slot):
        mixed = score_choices(model, batch).log_probability
    bank = copy.deepcopy(adaptation.state_dict())
    adaptation.detach()
    for slot in range(3):
        alone = _attach(model)
        alone.load_state_dict({name: values[slot : slot + 1] for name, values in bank.items()})
        for row, example in enumerate(examples):
            if example.slot == slot:
                found = _scores(model, [replace(example, slot=0)])[0]
                expected = mixed[row, : found.shape[0], : found.shape[1]]
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        alone.detach()


def test_gradients_of_a_mixed_batch_stay_in_their_slots(make_model: Any, make_examples: Examples) -> None:
    model = make_model()
    adaptation = _perturb(_attach(model, slots=3))
    batch = collate([replace(e, slot=2) for e in make_examples(4, 3)])
    with adaptation.use_slots(batch.slot):
        score_choices(model, batch).log_probability.sum().backward()
    for parameter in adaptation.parameters():
        assert parameter.grad is not None
        assert not parameter.grad[:2].any()
        assert parameter.grad[2].any()


# PEFT asks transformers 5 by an old name whether activations are checkpointed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_agrees_with_the_peft_library(kind: str, make_model: Any, make_examples: Examples, plain_scores: Any) -> None:
    peft = pytest.importorskip("peft")
    ours, theirs = make_model(kind), make_model(kind)
    adaptation = _perturb(_attach(ours))
    config = peft.IA3Config(target_modules=["k", "v", "wo"], feedforward_modules=["wo"], task_type="SEQ_2_SEQ_LM")
    wrapped = peft.get_peft_model(theirs, config).eval()
    scales = {name.removeprefix("scales.").replace("/", "."): p for name, p in adaptation.named_parameters()}
    filled = 0
    for name, parameter in wrapped.named_parameters():
        if found := re.fullmatch(r"base_model\.model\.(.*)\.ia3_l\.default", name):
            parameter.data.copy_(scales[found[1]].detach().view_as(parameter))
            filled += 1
    assert filled == len(scales)
    examples = make_examples(6, 3)
    scores = _scores(ours, examples)
    with torch.no_grad():
        for row, example in enumerate(examples):
            for number, choice in enumerate(example.choices):
                expected = plain_scores(wrapped, example.input_ids, choice)
                found_ = scores[row, number, : len(choice)].double()
                torch.testing.assert_close(found_, expected, atol=1e-5, rtol=1e-5)


def test_ia3_has_no_options() -> None:
    with pytest.raises(UserError, match="method ia3 has no option rank; it has none"):
        IA3({"rank": 4})


def test_training_keeps_what_is_scaled(
    make_model: Any, make_examples: Examples, kept_values: Callable[..., int]
) -> None:
    """As its docstring says; beside BitFit, whose gradients pass through the same layers and keep nothing for it."""
    model, examples = make_model(), make_examples(3, 6)
    fuse(model)
    plain = BitFit({"layer_norms": False}).attach(model, generator=torch.Generator())
    needed = kept_values(model, plain, examples)
    plain.detach()
    adaptation = _attach(model)
    scaled = 0

    def see(module: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal scaled
        scaled += (inputs[0] if module in outputs else output).numel()

    outputs = [module for path, module in model.named_modules() if path.endswith(".wo")]
    for path, module in model.named_modules():
        if path.endswith((".k", ".v", ".wo")):
            module.register_forward_hook(see)
    assert kept_values(model, adaptation, examples) - needed == scaled
