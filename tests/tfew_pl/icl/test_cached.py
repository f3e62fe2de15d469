"""Choices behind kept contexts, against whole texts without a cache."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.fused import fuse
from tfew_pl.icl import CachedContexts

VOCABULARY = 64
KEPT = (5, 9, 2, 7)
EXAMPLES = [
    Encoded((3, 4, 8), ((11,), (12, 13, 14)), 0, kept=KEPT),
    Encoded((6,), ((15, 16), (17,), (18, 19)), 1, example=1, kept=KEPT),
]


def gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=24, n_layer=2, n_head=3))


def llama() -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=VOCABULARY, hidden_size=24, intermediate_size=32, num_hidden_layers=2,
                    num_attention_heads=3, num_key_value_heads=3, max_position_embeddings=64)
    )  # fmt: skip


@pytest.fixture(params=[gpt2, llama])
def causal(request: pytest.FixtureRequest) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = request.param()
        for parameter in model.parameters():  # random layers barely listen to one another as they come
            if parameter.dim() > 1:
                parameter.data.mul_(4.0)
    assert isinstance(model, PreTrainedModel)
    return model.eval()


def check(model: PreTrainedModel, examples: list[Encoded], whole: Callable[[Encoded, tuple[int, ...]], Any]) -> None:
    with torch.no_grad():
        found = CachedContexts(model).score(collate(examples)).log_probability
        for number, example in enumerate(examples):
            for place, choice in enumerate(example.choices):
                expected = whole(example, choice)
                assert found[number, place, : len(choice)].tolist() == pytest.approx(expected, abs=2e-5)
                assert not found[number, place, len(choice) :].any()


@pytest.mark.parametrize("kept", [KEPT, ()])
def test_a_causal_model(causal: PreTrainedModel, kept: tuple[int, ...]) -> None:
    def whole(example: Encoded, choice: tuple[int, ...]) -> list[float]:
        text = [*kept, *example.input_ids, *choice]
        logits = causal(input_ids=torch.tensor([text])).logits[0].double().log_softmax(-1)
        first = len(text) - len(choice)
        return [float(logits[place - 1, text[place]]) for place in range(first, len(text))]

    check(causal, [Encoded(e.input_ids, e.choices, e.gold, kept=kept) for e in EXAMPLES], whole)


@pytest.mark.parametrize("fused", [False, True])
def test_a_query_in_the_decoder(make_model: Callable[..., Any], fused: bool) -> None:
    model = make_model()
    if fused:
        fuse(model)  # as every backbone is that is loaded

    def whole(example: Encoded, choice: tuple[int, ...]) -> list[float]:
        text = [*example.input_ids, *choice]
        context = torch.tensor([list(KEPT)])
        output = model(input_ids=context, decoder_input_ids=torch.tensor([[0, *text[:-1]]]))
        logits = output.logits[0].double().log_softmax(-1)
        return [float(logits[place, text[place]]) for place in range(len(example.input_ids), len(text))]

    check(model, EXAMPLES, whole)


def test_a_context_is_read_once(causal: PreTrainedModel) -> None:
    widths = []
    causal.register_forward_pre_hook(
        lambda _module, _inputs, named: widths.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    contexts = CachedContexts(causal)
    with torch.no_grad():
        first = contexts.score(collate(EXAMPLES)).log_probability
        again = contexts.score(collate(EXAMPLES)).log_probability
        contexts.score(collate([Encoded((3,), ((4,),), 0, kept=(9, 9))]))
    assert widths == [4, 6, 6, 2, 2]  # the context, two batches of queries; another context, its query
    assert torch.equal(first, again)


def test_a_context_is_encoded_once(make_model: Callable[..., Any]) -> None:
    model = make_model()
    fuse(model)
    widths = []
    model.encoder.register_forward_pre_hook(
        lambda _module, _inputs, named: widths.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    contexts = CachedContexts(model)
    with torch.no_grad():
        first = contexts.score(collate(EXAMPLES)).log_probability
        again = contexts.score(collate(EXAMPLES)).log_probability
        contexts.score(collate([Encoded((3,), ((4,),), 0, kept=(9, 9))]))
    assert widths == [len(KEPT), 2]
    assert torch.equal(first, again)


def test_no_place_before_the_answer(causal: PreTrainedModel) -> None:
    with pytest.raises(UserError, match="no token for the end of a line"):
        CachedContexts(causal).score(collate([Encoded((), ((4,),), 0, kept=KEPT)]))


@pytest.mark.parametrize("kept", [KEPT, ()])
@pytest.mark.parametrize("tokens", [1, 25])
def test_rows_are_scored_some_at_a_time(
    causal: PreTrainedModel, kept: tuple[int, ...], tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory does not grow with the number of choices; an example has less of them than the other."""
    many = tuple((11 + place % 40, *range(3, 3 + place % 3)) for place in range(20))
    examples = [replace(EXAMPLES[0], choices=many, kept=kept), replace(EXAMPLES[1], kept=kept)]
    batch, rows = collate(examples), []
    causal.register_forward_pre_hook(
        lambda _module, _inputs, named: rows.append(named["input_ids"].shape), with_kwargs=True
    )
    with torch.no_grad():
        whole = CachedContexts(causal).score(batch).log_probability
        rows.clear()
        copied: list[int] = []
        repeat = DynamicCache.batch_repeat_interleave

        def watched(cache: DynamicCache, repeats: int) -> None:
            copied.append(repeats)
            repeat(cache, repeats)

        monkeypatch.setattr(DynamicCache, "batch_repeat_interleave", watched)
        found = CachedContexts(causal, tokens).score(batch).log_probability
    assert torch.allclose(found, whole, atol=1e-6)
    asked = rows[1:] if kept else rows
    assert sum(count for count, _ in asked) == 23  # what an example does not have is not asked
    assert all(count == 1 or count * (len(kept) + width) <= tokens for count, width in asked)
    assert copied == ([count for count, _ in asked] if kept else [])


def test_a_context_that_is_not_kept_is_an_error() -> None:
    """An encoder gives no keys and values, and would read the query alone."""
    encoder = BertLMHeadModel(
        BertConfig(vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=1, num_attention_heads=3,
                   intermediate_size=32, max_position_embeddings=64)
    ).eval()  # fmt: skip
    with torch.no_grad(), pytest.raises(UserError, match=r"type bert keeps no keys and values .* such as gpt2"):
        CachedContexts(encoder).score(collate(EXAMPLES))
