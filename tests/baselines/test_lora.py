import re
from typing import Any

import pytest
import torch

from baselines.bitfit import BitFit
from baselines.lora import HEAD, LoRA
from tfew_pl.encoding import collate
from tfew_pl.errors import UserError
from tfew_pl.fused import fuse
from tfew_pl.method import Adaptation
from tfew_pl.ranking import score_choices
from tfew_pl.shapes import empty_backbone


def _attach(model: Any, options: Any = None) -> Adaptation:
    return LoRA(options).attach(model, generator=torch.Generator().manual_seed(0))


def _fill(adaptation: Adaptation) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in adaptation.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)


def test_what_it_counts_on_t0_3b() -> None:
    attentions, feeds, norms = 72 * 4 * (2048 + 2048), 48 * 3 * (2048 + 5120), 122 * 2048
    assert _attach(empty_backbone("t0-3b")).counts().trainable == 4 * (attentions + feeds) + norms == 9_097_216
    assert _attach(empty_backbone("t0-3b"), {"rank": 1, "layer_norms": False}).counts().trainable == attentions + feeds


def test_in_bf16_sums_are_rounded_once(make_model: Any) -> None:
    model = make_model().bfloat16()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    adaptation = _attach(model, {"layer_norms": False})
    _fill(adaptation)
    state = {name: value[0].double() for name, value in adaptation.state_dict().items()}
    adaptation.merge()
    for key in (name.removeprefix("a.") for name in state if name.startswith("a.")):
        name = f"{key.replace('/', '.')}.weight"
        exact = before[name].double() + state[f"b.{key}"] @ state[f"a.{key}"] / 4
        torch.testing.assert_close(model.state_dict()[name].double(), exact, rtol=1 / 256 + 1e-5, atol=1e-6)


def test_it_starts_as_app_d_says(make_model: Any) -> None:
    adaptation = _attach(make_model(), {"rank": 24})
    a = torch.cat([p.flatten() for name, p in adaptation.named_parameters() if name.startswith("a.")])
    assert a.std().item() == pytest.approx(0.01, rel=0.03)
    assert abs(a.mean().item()) < 2e-4
    assert all(not p.any() for name, p in adaptation.named_parameters() if name.startswith("b."))


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_it_adds_b_a_over_r_to_the_weights(kind: str, make_model: Any, make_examples: Any) -> None:
    model, reference, batch = make_model(kind), make_model(kind), collate(make_examples(5, 4))
    adaptation = _attach(model, {"rank": 3, "layer_norms": False})
    _fill(adaptation)
    state = adaptation.state_dict()
    changed = 0
    with torch.no_grad():
        for path, module in reference.named_modules():
            key = path.replace(".", "/")
            if f"a.{key}" in state:
                module.weight.add_(state[f"b.{key}"][0] @ state[f"a.{key}"][0] / 3)
                changed += 1
        # Two layers of each stack: 4 maps an attention, 3 or 2 a feed-forward.
        assert changed == (2 + 4) * 4 + 4 * (3 if kind == "untied" else 2)
        torch.testing.assert_close(
            score_choices(model, batch).log_probability,
            score_choices(reference, batch).log_probability,
            atol=1e-5,
            rtol=1e-5,
        )


# PEFT asks transformers 5 by an old name whether activations are checkpointed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_agrees_with_the_peft_library(kind: str, make_model: Any, make_examples: Any, plain_scores: Any) -> None:
    peft = pytest.importorskip("peft")
    ours, theirs, examples = make_model(kind), make_model(kind), make_examples(6, 3)
    adaptation = _attach(ours, {"layer_norms": False})
    _fill(adaptation)
    maps = ["q", "k", "v", "o", "wo", *(["wi_0", "wi_1"] if kind == "untied" else ["wi"])]
    config = peft.LoraConfig(r=4, lora_alpha=1, target_modules=maps, task_type="SEQ_2_SEQ_LM")
    wrapped = peft.get_peft_model(theirs, config).eval()
    state, filled = adaptation.state_dict(), 0
    for name, parameter in wrapped.named_parameters():
        if found := re.fullmatch(r"base_model\.model\.(.*)\.lora_([AB])\.default\.weight", name):
            parameter.data.copy_(state[f"{found[2].lower()}.{found[1].replace('.', '/')}"][0])
            filled += 1
    assert filled == len(state)
    scores = score_choices(ours, collate(examples)).log_probability.detach()
    with torch.no_grad():
        for row, example in enumerate(examples):
            for number, choice in enumerate(example.choices):
                expected = plain_scores(wrapped, example.input_ids, choice)
                torch.testing.assert_close(scores[row, number, : len(choice)].double(), expected, atol=1e-5, rtol=1e-5)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UserError, match="method lora, option rank must be at least 1, not 0"):
        LoRA({"rank": 0})
    with pytest.raises(UserError, match=r"method lora, option init_scale must not be negative, and is -0\.01"):
        LoRA({"init_scale": -0.01})


def test_training_keeps_the_inputs_of_the_maps_and_r_values_each(
    make_model: Any, make_examples: Any, kept_values: Any
) -> None:
    """As its docstring says; beside BitFit, whose gradients pass through the same layers and keep nothing for it."""
    model, rank, examples = make_model(), 3, make_examples(3, 6)
    fuse(model)
    without_norms = {"layer_norms": False}
    plain = BitFit(without_norms).attach(model, generator=torch.Generator())
    needed = kept_values(model, plain, examples)
    plain.detach()
    adaptation = _attach(model, {"rank": rank, **without_norms})
    inputs: dict[int, torch.Tensor] = {}
    projected = 0

    def see(_map: Any, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal projected
        inputs[given[0].data_ptr()] = given[0]
        projected += rank * given[0][..., 0].numel()

    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and not path.endswith(HEAD):
            module.register_forward_pre_hook(see)
    of_inputs = kept_values(model, adaptation, examples) - needed - projected
    assert of_inputs == sum(x.numel() for x in inputs.values())
    # q, k and v share one, as wi_0 and wi_1 do; the keys and values of both cross-attentions share the encoder's.
    assert len(inputs) == 2 * 4 + 2 * 6 + 1
