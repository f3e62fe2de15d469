import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.prefix_tuning import PrefixTuning, PrefixTuningAdaptation
from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.ranking import score_choices
from tfew_pl.setting import Setting
from tfew_pl.shapes import empty_backbone

Examples = Callable[..., list[Encoded]]


def _attach(model: nn.Module, setting: Setting | None, slots: int = 1, **options: Any) -> PrefixTuningAdaptation:
    method = PrefixTuning({"hidden_size": 16, **options})
    generator = torch.Generator().manual_seed(0)
    adaptation = method.attach(model, slots=slots, generator=generator, setting=setting)
    assert isinstance(adaptation, PrefixTuningAdaptation)
    return adaptation


def _perturb(adaptation: PrefixTuningAdaptation) -> PrefixTuningAdaptation:
    generator = torch.Generator().manual_seed(3)
    for parameter in adaptation.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return adaptation


def _bucket(distance: int, bidirectional: bool, buckets: int = 32, farthest: int = 128) -> int:
    """Where a distance, key minus query, is in T5's table of relative positions (Raffel et al. 2020, Section 2.1)."""
    first = 0
    if bidirectional:
        buckets //= 2
        first = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    share = math.log(distance / exact) / math.log(farthest / exact)
    return first + min(exact + int(share * (buckets - exact)), buckets - 1)


class _Reference(nn.Module):
    """Attention over one unpadded example by its definition, prefixes concatenated to its keys and values."""

    def __init__(self, attention: Any, prefix: Tensor, bias: nn.Embedding | None, decoder: bool) -> None:
        super().__init__()
        self.attention, self.prefix, self.bias, self.decoder = attention, prefix, bias, decoder

    def forward(self, hidden: Tensor, key_value_states: Tensor | None = None, **_: Any) -> tuple[Tensor, None, None]:
        (queries,) = hidden
        (states,) = hidden if key_value_states is None else key_value_states
        width, heads = self.attention.inner_dim, self.attention.n_heads
        q = queries @ self.attention.q.weight.T
        k = torch.cat([self.prefix[:, :width], states @ self.attention.k.weight.T])
        v = torch.cat([self.prefix[:, width:], states @ self.attention.v.weight.T])
        before, outputs = len(self.prefix), []
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            scores = q[:, part] @ k[:, part].T
            if self.bias is not None:
                for i in range(len(q)):
                    for j in range(len(k)):
                        distance = j - (before + i)
                        scores[i, j] += self.bias.weight[_bucket(distance, not self.decoder), head]
                        if self.decoder and distance > 0:
                            scores[i, j] = -math.inf
            outputs.append(scores.softmax(-1) @ v[:, part])
        return (torch.cat(outputs, dim=-1) @ self.attention.o.weight.T)[None], None, None


def _by_definition(model: Any, prefixes: dict[str, Tensor]) -> Any:
    """The model with every attention replaced by the reference."""
    for stack, decoder in ((model.encoder, False), (model.decoder, True)):
        bias = stack.block[0].layer[0].SelfAttention.relative_attention_bias
        for number, block in enumerate(stack.block):
            place = f"{'decoder' if decoder else 'encoder'}/block/{number}/layer"
            layer = block.layer[0]
            layer.SelfAttention = _Reference(
                layer.SelfAttention, prefixes[f"{place}/0/SelfAttention"][0], bias, decoder
            )
            if decoder:
                layer = block.layer[1]
                layer.EncDecAttention = _Reference(
                    layer.EncDecAttention, prefixes[f"{place}/1/EncDecAttention"][0], None, decoder
                )
    return model


@pytest.mark.parametrize("kind", ["untied", "tied"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@torch.no_grad()
def test_scores_are_those_of_concatenated_keys_and_values(
    kind: str, implementation: str, make_model: Any, make_examples: Examples, make_setting: Any, plain_scores: Any
) -> None:
    model, examples = make_model(kind), make_examples(2, 3)
    model.set_attn_implementation(implementation)
    adaptation = _perturb(_attach(model, make_setting(model), tokens=3))
    reference = _by_definition(make_model(kind), adaptation.stored())
    scores = score_choices(model, collate(examples)).log_probability  # padded, the choices side by side
    for row, example in enumerate(examples):
        for number, choice in enumerate(example.choices):
            expected = plain_scores(reference, example.input_ids, choice).float()
            torch.testing.assert_close(scores[row, number, : len(choice)], expected, atol=2e-5, rtol=1e-5)
            alone = plain_scores(model, example.input_ids, choice).float()
            torch.testing.assert_close(alone, expected, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_prefixes_start_as_what_the_texts_give(make_model: Any, make_setting: Any) -> None:
    model, plain = make_model(), make_model()
    setting = make_setting(model)
    prefixes = _attach(model, setting, slots=2).stored()

    def ids(text: str) -> Tensor:
        tokens = setting.tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor([(tokens * 2)[:2]])

    question, answer = ids("Question:"), ids("Answer:")
    encoded = plain.encoder(input_ids=question, output_hidden_states=True)
    decoded = plain.decoder(
        input_ids=answer, encoder_hidden_states=encoded.last_hidden_state, output_hidden_states=True, use_cache=False
    )
    for number in range(2):
        for name, stack, hidden in (("encoder", plain.encoder, encoded), ("decoder", plain.decoder, decoded)):
            layer = stack.block[number].layer[0]
            normed = layer.layer_norm(hidden.hidden_states[number])[0]
            expected = torch.cat([layer.SelfAttention.k(normed), layer.SelfAttention.v(normed)], dim=-1)
            for found in prefixes[f"{name}/block/{number}/layer/0/SelfAttention"]:
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        cross = plain.decoder.block[number].layer[1].EncDecAttention
        states = encoded.last_hidden_state[0]
        expected = torch.cat([cross.k(states), cross.v(states)], dim=-1)
        for found in prefixes[f"decoder/block/{number}/layer/1/EncDecAttention"]:
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_slots_start_from_mlps_of_their_own(make_model: Any, make_setting: Any) -> None:
    model = make_model()
    for name, bank in _attach(model, make_setting(model), slots=2).state_dict().items():
        assert not torch.equal(bank[0], bank[1]), name


def test_fitting_sees_no_dropout_and_leaves_no_trace(make_model: Any, make_setting: Any) -> None:
    still, lively = make_model(), make_model(dropout=0.5)
    lively.train()
    expected = _attach(still, make_setting(still)).stored()
    adaptation = _attach(lively, make_setting(lively))
    assert all(torch.equal(adaptation.stored()[name], tensor) for name, tensor in expected.items())
    assert all(module.training for module in lively.modules())
    adaptation.detach()
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in lively.modules())


def test_counts_on_t0_3b() -> None:
    adaptation = PrefixTuning().attach(empty_backbone("t0-3b"), generator=torch.Generator())
    counts = adaptation.counts()
    # The paper's 576K is 576 x 1,024: keys and values of 2 tokens in 72 attentions of 32 x 64.
    assert counts.stored == counts.inference_extra == 2 * 2 * 2048 * 72 == 576 * 1024
    # The MLPs, as in the release: three of 2 x 2048 -> 512, and 512 -> 2 x 2048 for each attention.
    mlps = 3 * (2 * 2048 + 2048 * 512 + 512) + 72 * (512 * 4096 + 4096)
    assert counts.trainable == mlps == 154_449_408


@torch.no_grad()
def test_a_loaded_adaptation_has_no_mlp(make_model: Any, make_setting: Any, make_examples: Examples) -> None:
    model, batch = make_model(), collate(make_examples(2, 3))
    adaptation = _perturb(_attach(model, make_setting(model)))
    stored, expected = adaptation.stored(), score_choices(model, batch).log_probability
    assert {tuple(tensor.shape) for tensor in stored.values()} == {(1, 2, 48)}
    adaptation.detach()
    loaded = _attach(model, make_setting(model))
    loaded.load_stored(stored)
    assert sum(p.numel() for p in loaded.parameters()) == loaded.counts().stored == 6 * 2 * 48
    assert torch.equal(score_choices(model, batch).log_probability, expected)
    assert all(torch.equal(loaded.stored()[name], tensor) for name, tensor in stored.items())


def test_a_cache_is_not_used_and_refused(make_model: Any, make_setting: Any, plain_scores: Any) -> None:
    model = make_model()
    settings = (model.config.use_cache, model.decoder.config.use_cache)
    adaptation = _attach(model, make_setting(model))
    plain_scores(model, [5, 6], [7, 1])
    with pytest.raises(UserError, match="does not work with a cache: pass use_cache=False"):
        model(input_ids=torch.tensor([[5]]), decoder_input_ids=torch.tensor([[0]]), use_cache=True)
    plain_scores(model, [5, 6], [7, 1])
    adaptation.detach()
    assert (model.config.use_cache, model.decoder.config.use_cache) == settings == (True, True)


def test_longer_prefixes_repeat_the_text(make_model: Any, make_setting: Any) -> None:
    model = make_model()
    adaptation = _attach(model, make_setting(model), tokens=5)
    assert {tensor.shape[1] for tensor in adaptation.stored().values()} == {5}


@pytest.mark.parametrize("options", [{"input_text": ""}, {"target_text": ""}])
def test_a_text_without_tokens_is_refused(options: dict[str, str], make_model: Any, make_setting: Any) -> None:
    model = make_model()
    with pytest.raises(UserError, match="the text '' has no token, so there would be no prefix"):
        _attach(model, make_setting(model), **options)
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("option", ["tokens", "hidden_size"])
def test_impossible_sizes_are_refused(option: str) -> None:
    with pytest.raises(UserError, match=f"{option} must be at least 1, not 0"):
        PrefixTuning({option: 0})


def test_it_asks_for_the_tokenizer(make_model: Any) -> None:
    with pytest.raises(UserError, match="method prefix-tuning needs the run's training examples or tokenizer"):
        _attach(make_model(), None)


def test_recipe(make_model: Any, make_setting: Any) -> None:
    assert PrefixTuning.recipe == {"steps": 1000, "learning_rate": 3e-3}
    config = PrefixTuning().config
    assert (config.tokens, config.hidden_size) == (2, 512)
    assert config == replace(config, input_text="Question:", target_text="Answer:")
