import errno
import os
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config

from tfew_pl import pretraining as module
from tfew_pl.adaptation_file import backbone_digest, load_into
from tfew_pl.backbones import load_backbone
from tfew_pl.errors import UserError
from tfew_pl.ia3 import IA3
from tfew_pl.pretraining import PromptedTexts, pretrain, pretraining_recipe

TEXTS = [("the dog is in the", "kitchen"), ("a cat ate the", "fish"), ("yes or", "no")]


def test_recipe_is_language_modeling_alone() -> None:
    recipe = pretraining_recipe()
    # Section 3.4: 100,000 steps of batches of 16.
    assert (recipe.steps, recipe.batch_size) == (100_000, 16)
    assert recipe.learning_rate == 3e-4, "the release's configs/pretrain.json"
    assert (recipe.lm_weight, recipe.unlikelihood_weight, recipe.length_norm_weight) == (1, 0, 0)


def test_a_few_steps_give_a_file_of_changed_vectors(backbone_folder: Path, tmp_path: Path) -> None:
    model = load_backbone(str(backbone_folder)).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    told: list[tuple[str, float]] = []

    def train() -> bytes:
        return pretrain("ia3", str(backbone_folder), lambda: cycle(TEXTS), pretraining_recipe(5, 2),
                        progress=lambda stage, share: told.append((stage, share)))  # fmt: skip

    content = train()
    assert told == [("training", step / 5) for step in range(1, 6)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    path = tmp_path / "vectors.safetensors"
    path.write_bytes(content)
    adaptation = IA3().attach(model, generator=torch.Generator())
    try:
        load_into(adaptation, path, "ia3", backbone_digest(model))
        assert all((p != 1).any() and p.isfinite().all() for p in adaptation.parameters())
    finally:
        adaptation.detach()
    assert train() == content, "the same again, byte for byte"


def test_texts_are_read_from_the_start_and_only_as_far_as_needed(backbone_folder: Path) -> None:
    read: list[str] = []

    def texts() -> Iterator[tuple[str, str]]:
        for text, target in cycle(TEXTS):
            read.append(text)
            yield text, target

    pretrain("ia3", str(backbone_folder), texts, pretraining_recipe(2, 3))
    assert read == [text for text, _ in TEXTS] * 2


def _numbered() -> Iterator[tuple[str, str]]:
    for number in count():
        yield f"the dog number {number} is in", ("kitchen", "garden", f"{number}")[number % 3]


class _GoneError(Exception):
    """A machine that goes away."""


def test_an_interrupted_training_goes_on_as_if_it_never_was(backbone_folder: Path, tmp_path: Path) -> None:
    checkpoint, recipe = tmp_path / "checkpoint", pretraining_recipe(7, 2)
    whole = pretrain("ia3", str(backbone_folder), _numbered, recipe)

    def until(share: float) -> Any:
        def progress(_stage: str, done: float) -> None:
            if done >= share:
                raise _GoneError

        return progress

    def go(progress: Any = None) -> bytes:
        return pretrain("ia3", str(backbone_folder), _numbered, recipe, checkpoint=checkpoint, every=2,
                        progress=progress)  # fmt: skip

    with pytest.raises(_GoneError):
        go(until(3 / 7))
    content = torch.load(checkpoint, weights_only=True)
    assert content["global_step"] == 2
    assert all(name.startswith("adaptation.") for name in content["state_dict"])
    with pytest.raises(_GoneError):
        go(until(5 / 7))
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 4
    model = load_backbone(str(backbone_folder)).model
    head = model.lm_head.weight.clone()
    assert go() == whole
    assert torch.equal(model.lm_head.weight, head), "a checkpoint does not touch an untied head"


def test_a_checkpoint_of_another_training_is_refused(backbone_folder: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    options: dict[str, Any] = {"checkpoint": checkpoint, "every": 1}
    pretrain("ia3", str(backbone_folder), _numbered, pretraining_recipe(2, 2), **options)
    assert checkpoint.is_file()
    with pytest.raises(UserError, match="is a checkpoint of another pre-training: remove it to start anew"):
        pretrain("ia3", str(backbone_folder), _numbered, pretraining_recipe(2, 2), seed=1, **options)


def test_a_causal_model_is_refused_before_its_weights(tmp_path: Path) -> None:
    """There are none: its configuration is enough."""
    GPT2Config(vocab_size=512, n_embd=24, n_layer=2, n_head=3, architectures=["GPT2LMHeadModel"]).save_pretrained(
        tmp_path
    )
    with pytest.raises(UserError, match="a causal gpt2 cannot be pre-trained here; method ia3 needs one of the T5"):
        pretrain("ia3", str(tmp_path), _numbered, pretraining_recipe(2, 2))


def test_half_a_checkpoint_is_one_message(backbone_folder: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    recipe = pretraining_recipe(2, 2)
    pretrain("ia3", str(backbone_folder), _numbered, recipe, checkpoint=checkpoint, every=1)
    content = checkpoint.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"nothing"):
        checkpoint.write_bytes(damaged)
        with pytest.raises(UserError, match=r"checkpoint: not a readable checkpoint; remove it to start anew$"):
            pretrain("ia3", str(backbone_folder), _numbered, recipe, checkpoint=checkpoint, every=1)


def test_a_full_disk_leaves_the_checkpoint_before(
    backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, recipe = tmp_path / "checkpoint", pretraining_recipe(5, 2)
    kept: list[bytes] = []
    replace = os.replace

    def full_at_the_third(source: Path, target: Path) -> None:
        if len(kept) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)
        kept.append(checkpoint.read_bytes())

    monkeypatch.setattr(module.os, "replace", full_at_the_third)
    with pytest.raises(UserError, match=r"cannot write the checkpoint .*: No space left on device; the same command"):
        pretrain("ia3", str(backbone_folder), _numbered, recipe, checkpoint=checkpoint, every=1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert checkpoint.read_bytes() == kept[1]
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 2


def test_a_loss_that_is_not_a_number_writes_no_vectors(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nan = torch.tensor([float("nan")], requires_grad=True)
    monkeypatch.setattr("tfew_pl.losses.lm_loss", lambda *_, **__: nan * 1)
    with pytest.raises(UserError, match="the pre-training diverged: a loss is not a number after step 1"):
        pretrain("ia3", str(backbone_folder), _numbered, pretraining_recipe(3, 2))
    model = load_backbone(str(backbone_folder)).model
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_two_processes_take_every_text_once(words: Any) -> None:
    parts = [PromptedTexts(_numbered, words, range(10 + rank, 16, 2)) for rank in (0, 1)]
    assert [[e.example for e in part] for part in parts] == [[10, 12, 14], [11, 13, 15]]
    whole = {e.example: e for e in PromptedTexts(_numbered, words, range(16))}
    assert all(e == whole[e.example] for part in parts for e in part)
