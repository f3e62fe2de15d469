"""Tiny backbones for every test, and the plainest possible reference: one choice at a time, nothing shared."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration
from transformers.utils import logging as transformers_logging

from tfew_pl.encoding import Encoded, collate
from tfew_pl.method import Adaptation
from tfew_pl.ranking import score_choices
from tfew_pl.tasks.data import load_data

VOCABULARY = 512
ModelMaker = Callable[..., T5ForConditionalGeneration]
PlainScores = Callable[[T5ForConditionalGeneration, Sequence[int], Sequence[int]], Tensor]

transformers_logging.disable_progress_bar()


def _make_model(
    kind: str = "untied", seed: int = 0, dropout: float = 0.0, width: int = 24
) -> T5ForConditionalGeneration:
    """A random T5 in fp32: `untied` is v1.1 (gated GELU, a head of its own), `tied` is v1.0 (ReLU)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings: dict[str, Any] = {"tie_word_embeddings": kind == "tied", "decoder_start_token_id": 0}
        config = T5Config(
            vocab_size=VOCABULARY,
            d_model=width,
            d_kv=width // 3,
            d_ff=width * 4 // 3,
            num_layers=2,
            num_decoder_layers=2,
            num_heads=3,
            feed_forward_proj="gated-gelu" if kind == "untied" else "relu",
            dropout_rate=dropout,
            **settings,
        )
        model = T5ForConditionalGeneration(config)
        # Random layers barely listen to one another as they come; larger weights let every part count.
        for name, parameter in model.named_parameters():
            if name.endswith((".k.weight", ".v.weight", ".o.weight", ".q.weight")):
                parameter.data.mul_(2.0)
        if kind == "untied":
            model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, width) * 0.5)
            model.config.tie_word_embeddings = False
        else:
            model.shared.weight.data.mul_(2.0)
    return model.eval()


def _plain_scores(model: T5ForConditionalGeneration, input_ids: Sequence[int], choice: Sequence[int]) -> Tensor:
    """Log-probabilities of a choice's tokens, in float64 from the logits on: (tokens,)."""
    ids, labels = torch.tensor([list(input_ids)]), torch.tensor([list(choice)])
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).logits[0]
    chosen = logits.double().log_softmax(-1)[range(len(choice)), labels[0]]
    assert isinstance(chosen, Tensor)
    return chosen


def _examples(seed: int, count: int, slots: int = 1, most_choices: int = 6, most_tokens: int = 5) -> list[Encoded]:
    """Random inputs with 1 to `most_choices` random choices, each ending in EOS."""
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    def ids(most: int) -> tuple[int, ...]:
        return (*(number(2, VOCABULARY - 1) for _ in range(number(0, most - 1))), 1)

    found = []
    for example in range(count):
        choices = tuple(ids(most_tokens) for _ in range(number(1, most_choices)))
        gold = number(0, len(choices) - 1)
        found.append(Encoded(ids(12), choices, gold, example=example, slot=number(0, slots - 1)))
    return found


def _kept_values(model: T5ForConditionalGeneration, adaptation: Adaptation, examples: Sequence[Encoded]) -> int:
    """How many values autograd keeps for the backward pass of a batch's scores, those of parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *adaptation.parameters())}
    kept: dict[int, Tensor] = {}  # whole tensors, so that none's place is taken by another

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = score_choices(model, collate(examples)).log_probability
    assert scores.requires_grad
    return sum(t.untyped_storage().nbytes() // t.element_size() for place, t in kept.items() if place not in own)


@pytest.fixture(scope="session")
def kept_values() -> Callable[..., int]:
    return _kept_values


@pytest.fixture(scope="session")
def make_model() -> ModelMaker:
    return _make_model


@pytest.fixture(scope="session")
def plain_scores() -> PlainScores:
    return _plain_scores


@pytest.fixture(scope="session")
def make_examples() -> Callable[..., list[Encoded]]:
    return _examples


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A small BPE that appends EOS, trained on pocket rows."""
    characters = [chr(code) for code in range(33, 127)]
    texts = [str(value) for task in ("rte", "copa", "wsc") for row in load_data(task, "pocket").train[:60]
             for value in row.values()]  # fmt: skip
    model = Tokenizer(models.BPE(unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=characters, show_progress=False
    )
    model.train_from_iterator(texts, trainer)
    model.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="session")
def words() -> PreTrainedTokenizerFast:
    """A tokenizer of the tiny backbones' vocabulary, for which no pocket world is needed: characters and few words."""
    model = Tokenizer(models.BPE(unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    model.train_from_iterator(["Question: is this so? Answer: it is so, and this answers the question."] * 9, trainer)
    model.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="session")
def save_backbone(tokenizer: PreTrainedTokenizerFast) -> Callable[[T5ForConditionalGeneration, Path], Path]:
    """Writes a model and the tokenizer as an ordinary folder."""

    def save(model: T5ForConditionalGeneration, folder: Path) -> Path:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def backbone_folder(
    tmp_path_factory: pytest.TempPathFactory,
    save_backbone: Callable[[T5ForConditionalGeneration, Path], Path],
) -> Path:
    """A tiny untied backbone on disk."""
    return save_backbone(_make_model(dropout=0.1), tmp_path_factory.mktemp("backbone"))
