from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration

from baselines.prompt_tuning import LongPromptTuning, PromptTuning, PromptTuningAdaptation
from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.ranking import score_choices
from tfew_pl.shapes import empty_backbone

Examples = Callable[..., list[Encoded]]


def _attach(model: nn.Module, slots: int = 1, tokens: int = 4, seed: int = 0) -> PromptTuningAdaptation:
    generator = torch.Generator().manual_seed(seed)
    adaptation = PromptTuning({"tokens": tokens}).attach(model, slots=slots, generator=generator)
    assert isinstance(adaptation, PromptTuningAdaptation)
    return adaptation


def _perturb(adaptation: PromptTuningAdaptation) -> PromptTuningAdaptation:
    generator = torch.Generator().manual_seed(3)
    for parameter in adaptation.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator))
    return adaptation


def test_counts_on_t0_3b() -> None:
    for method, vectors, paper in ((PromptTuning(), 10, 41_000), (LongPromptTuning(), 100, 409_000)):
        counts = method.attach(empty_backbone("t0-3b"), generator=torch.Generator()).counts()
        assert counts.trainable == counts.stored == counts.inference_extra == 2 * vectors * 2048
        assert round(counts.trainable, -3) == paper or counts.trainable // 1000 * 1000 == paper


def _with_embeddings(
    model: T5ForConditionalGeneration, adaptation: PromptTuningAdaptation, example: Encoded, choice: tuple[int, ...]
) -> Tensor:
    """A choice's log-probabilities from a call with embeddings, prompts laid before them by hand: (tokens,)."""
    start, embed = torch.tensor([[0, *choice[:-1]]]), model.shared
    states = torch.cat([adaptation.encoder, embed(torch.tensor([example.input_ids]))], dim=1)
    decoder = torch.cat([adaptation.decoder, embed(start)], dim=1)
    logits = model(inputs_embeds=states, decoder_inputs_embeds=decoder).logits[0, adaptation.decoder.shape[1] :]
    return logits.log_softmax(-1)[range(len(choice)), list(choice)]


@pytest.mark.parametrize("kind", ["untied", "tied"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@torch.no_grad()
def test_scores_are_those_of_a_call_with_embeddings(
    kind: str, implementation: str, make_model: Any, make_examples: Examples, plain_scores: Any
) -> None:
    model, plain, examples = make_model(kind), make_model(kind), make_examples(2, 4)
    for each in (model, plain):
        each.set_attn_implementation(implementation)
    adaptation = _perturb(_attach(model))
    scores = score_choices(model, collate(examples)).log_probability  # padded, the choices side by side
    for row, example in enumerate(examples):
        for number, choice in enumerate(example.choices):
            expected = _with_embeddings(plain, adaptation, example, choice)
            torch.testing.assert_close(scores[row, number, : len(choice)], expected, atol=1e-5, rtol=1e-5)
            # And of a caller that knows nothing of prompts.
            unaware = plain_scores(model, example.input_ids, choice).float()
            torch.testing.assert_close(unaware, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_stack_takes_its_arguments_by_place_and_embeddings_too(make_model: Any) -> None:
    model = make_model()
    ids, mask = torch.tensor([[5, 6, 7], [8, 9, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    adaptation = _attach(model)
    expected = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    assert expected.shape == (2, 4 + 3, 24)
    assert torch.equal(model.encoder(ids, mask).last_hidden_state, expected)
    embedded = model.shared(ids)
    assert torch.equal(model.encoder(inputs_embeds=embedded, attention_mask=mask).last_hidden_state, expected)
    assert torch.equal(model.encoder(ids, mask.bool()).last_hidden_state, expected)
    states = model.encoder(input_ids=ids[:1]).last_hidden_state
    assert model.decoder(input_ids=ids[:1], encoder_hidden_states=states).last_hidden_state.shape == (1, 3, 24)
    adaptation.detach()


def test_prompts_start_as_embeddings_of_common_tokens() -> None:
    config = T5Config(vocab_size=6000, d_model=4, d_kv=2, d_ff=4, num_layers=1, num_decoder_layers=1, num_heads=1)
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.shared.weight.copy_(torch.arange(6000.0)[:, None].expand(-1, 4))
    adaptation = _attach(model, slots=3, tokens=20_000)
    for prompts in (adaptation.encoder, adaptation.decoder):
        assert prompts.shape == (3, 20_000, 4)
        assert torch.equal(prompts, prompts[:, :, :1].expand(-1, -1, 4))
        ids = prompts[:, :, 0]
        assert (int(ids.min()), int(ids.max())) == (3, 5002)
        assert not torch.equal(ids[0], ids[1])
    assert not torch.equal(adaptation.encoder, adaptation.decoder)
    adaptation.detach()
    alone = _attach(model, tokens=20_000)
    assert torch.equal(alone.encoder, adaptation.encoder[:1])
    assert torch.equal(alone.decoder, adaptation.decoder[:1])


def test_a_small_vocabulary_is_enough(make_model: Any) -> None:
    adaptation = _attach(make_model(), tokens=100)
    assert adaptation.encoder.data_ptr() != adaptation.decoder.data_ptr()
    assert torch.isfinite(adaptation.encoder).all()


def test_no_prompt_is_none() -> None:
    with pytest.raises(UserError, match="tokens must be at least 1, not 0"):
        PromptTuning({"tokens": 0})


def test_recipe_is_without_parameter_scaling() -> None:
    expected = {"steps": 1000, "learning_rate": 0.3, "scale_parameter": False}
    assert PromptTuning.recipe == LongPromptTuning.recipe == expected
    assert (PromptTuning().config.tokens, LongPromptTuning().config.tokens) == (10, 100)


def test_a_cache_is_not_used_and_refused(make_model: Any) -> None:
    """With one, prompts would stand before each new token."""
    model = make_model()
    model.config.decoder_start_token_id = 0
    adaptation = PromptTuning().attach(model, generator=torch.Generator())
    assert (model.config.use_cache, model.decoder.config.use_cache) == (False, False)
    ids = torch.tensor([[5, 6, 1]])
    steps: dict[str, Any] = {"min_new_tokens": 3, "max_new_tokens": 3, "do_sample": False}
    with pytest.raises(UserError, match="prompt tuning does not work with a cache: pass use_cache=False"):
        model.generate(input_ids=ids, **steps)
    written = model.generate(input_ids=ids, **steps, use_cache=False)[0].tolist()
    for place in range(1, 4):  # each is the most likely token after those before it
        scores = model(input_ids=ids, decoder_input_ids=torch.tensor([written[:place]])).logits[0, -1]
        scores[1] = -torch.inf  # not the end yet
        assert int(scores.argmax()) == written[place]
    adaptation.detach()
    assert (model.config.use_cache, model.decoder.config.use_cache) == (True, True)
