"""A tiny T5 v1.1 (gated GELU, a head of its own) whose initialization makes copying and matching easy to find."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import T5Config, T5ForConditionalGeneration

TOKENIZER_FILES = ("spiece.model", "tokenizer.json", "tokenizer_config.json")


def configuration(vocabulary: int, dropout: float = 0.0) -> T5Config:
    """2 M parameters: width 128, four encoder and three decoder layers, four heads of 32."""
    settings: dict[str, Any] = {
        "vocab_size": (vocabulary + 15) // 16 * 16,
        "d_model": 128,
        "d_kv": 32,
        "d_ff": 256,
        "num_layers": 4,
        "num_decoder_layers": 3,
        "num_heads": 4,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 64,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": dropout,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }
    return T5Config(**settings)


def _match(attention: Any, heads: range | list[int], width: int, query: float = 0.25) -> None:
    """Some heads start by attending to equal tokens and copying what they find."""
    for head in heads:
        part = slice(head * width, (head + 1) * width)
        attention.q.weight[part] = query * attention.k.weight[part]
        attention.o.weight[:, part] = 0.5 * attention.v.weight[part].T


def initialized(vocabulary: int, seed: int) -> T5ForConditionalGeneration:
    """A fresh model.

    Query and key maps agree in cross-attention and in one encoder head, two encoder heads look at the neighboring
    tokens, and the head starts as the embeddings, smaller: without this, copying is found late or never at this size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(configuration(vocabulary))  # built with all embeddings tied
        config = untied(model.config)
        with torch.no_grad():
            model.shared.weight.normal_(0, 0.3)
            for name, parameter in model.named_parameters():
                if name.endswith((".o.weight", ".wo.weight")):
                    parameter.mul_(0.3)
            encoder_blocks: Any = model.encoder.block
            decoder_blocks: Any = model.decoder.block
            for block in decoder_blocks:
                _match(block.layer[1].EncDecAttention, range(config.num_heads), config.d_kv)
            for block in encoder_blocks:
                _match(block.layer[0].SelfAttention, [config.num_heads - 1], config.d_kv)
                _match(block.layer[0].SelfAttention, [0, 1], config.d_kv, query=0.02)
            encoder = encoder_blocks[0].layer[0].SelfAttention.relative_attention_bias.weight.normal_(0, 0.2)
            decoder = decoder_blocks[0].layer[0].SelfAttention.relative_attention_bias.weight.normal_(0, 0.2)
            encoder[1, 0] += 4  # bucket 1: the previous token
            encoder[17, 1] += 4  # bucket 17: the next token
            encoder[1:4, 2] += 2
            encoder[17:20, 2] += 2
            decoder[1, 0] += 4
            decoder[0, 1] += 2
            model.lm_head.weight = nn.Parameter(model.shared.weight * 0.3)
    return model


@contextmanager
def one_embedding(model: T5ForConditionalGeneration) -> Iterator[None]:
    """Within it, the head is the table of embeddings; after it, a copy of its own.

    A word that is never an answer in training gets an output vector all the same, so that fine-tuning can make it one:
    with a head of its own it is only ever pushed down.
    """
    model.lm_head.weight = model.shared.weight
    try:
        yield
    finally:
        model.lm_head.weight = nn.Parameter(model.shared.weight.detach().clone())


def untied(config: T5Config) -> T5Config:
    """Marks a configuration as untied: transformers 5 makes it tied whatever it is told."""
    config.tie_word_embeddings = False
    return config


def load(folder: Path) -> T5ForConditionalGeneration:
    """A saved model in fp32, its head a tensor of its own."""
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    untied(model.config)
    if model.lm_head.weight is model.shared.weight:  # transformers 5 ties equal ones
        model.lm_head.weight = nn.Parameter(model.shared.weight.detach().clone())
    return model


def save(model: T5ForConditionalGeneration, tokenizer: Path, out: Path, dropout: float) -> None:
    """Writes an ordinary Hugging Face folder in fp16, all of it or nothing.

    Args:
        model: what to save.
        tokenizer: folder of the tokenizer's files.
        out: the folder, replaced if it exists.
        dropout: the dropout rate that the configuration asks of whoever trains the model further.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        folder = Path(name, "checkpoint")
        folder.mkdir()
        settings = model.config.to_dict()
        settings |= {"tie_word_embeddings": False, "dropout_rate": dropout, "dtype": "float16"}
        settings |= {"architectures": ["T5ForConditionalGeneration"]}
        settings.pop("_name_or_path", None)
        (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        generation = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, "max_new_tokens": 32}
        (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")
        state = {
            name: tensor.detach().half().contiguous().clone()
            for name, tensor in model.state_dict().items()
            if "embed_tokens" not in name
        }
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        for file in TOKENIZER_FILES:
            shutil.copyfile(tokenizer / file, folder / file)
        for path in folder.iterdir():
            path.chmod(0o644)
        if out.exists():
            old = Path(name, "old")
            os.replace(out, old)
        os.replace(folder, out)
