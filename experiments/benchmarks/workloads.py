"""Models and batches to measure on."""

import copy
import random
from typing import Any

import torch
from torch import nn
from transformers import T5Config, T5ForConditionalGeneration

from tfew_pl.backbones import load_backbone
from tfew_pl.choices import ChoiceBatch
from tfew_pl.encoding import Encoded, collate

INPUT_TOKENS = (40, 140)
CHOICE_TOKENS = (2, 6)
CHOICES = 4
BATCH_SIZE = 8
_FIRST_ID, _EOS = 3, 1


def t5_small() -> T5ForConditionalGeneration:
    """A model of T5-small's shape (v1.1: gated GELU, a head of its own), its weights random."""
    config = T5Config(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_decoder_layers=8, num_heads=6,
        feed_forward_proj="gated-gelu", dropout_rate=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.05)
    model.config.tie_word_embeddings = False
    model.set_attn_implementation("eager")
    return model.eval()


def plain_model(name: str) -> T5ForConditionalGeneration:
    """A model as transformers gives it, nothing of ours in it; a copy of its own."""
    if name == "t5-small":
        return t5_small()
    fast = load_backbone(name).model
    with torch.device("meta"):
        model = T5ForConditionalGeneration(copy.deepcopy(fast.config))
    model = model.to_empty(device="cpu")
    model.lm_head.weight = nn.Parameter(torch.empty_like(model.lm_head.weight))
    model.config.tie_word_embeddings = False
    model.load_state_dict(fast.state_dict())
    model.set_attn_implementation("eager")
    return model.eval()


def examples(
    seed: int,
    vocabulary: int,
    *,
    size: int = BATCH_SIZE,
    choices: int = CHOICES,
    inputs: tuple[int, int] = INPUT_TOKENS,
    slots: int = 1,
) -> list[Encoded]:
    """Random inputs and choices; `size` examples for each slot."""
    draw = random.Random(seed)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return (*(draw.randrange(_FIRST_ID, vocabulary) for _ in range(draw.randint(low, high) - 1)), _EOS)

    return [
        Encoded(
            ids(*inputs),
            tuple(ids(*CHOICE_TOKENS) for _ in range(choices)),
            gold=draw.randrange(choices),
            example=example,
            slot=slot,
        )
        for example in range(size)
        for slot in range(slots)
    ]


def batch(seed: int, vocabulary: int, **sizes: Any) -> ChoiceBatch:
    """The same as one batch; arguments as for `examples`."""
    return collate(examples(seed, vocabulary, **sizes))
