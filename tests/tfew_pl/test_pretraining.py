from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import torch

from tfew_pl.adaptation_file import backbone_digest, load_into
from tfew_pl.backbones import load_backbone
from tfew_pl.ia3 import IA3
from tfew_pl.pretraining import pretrain, pretraining_recipe

TEXTS = [("the dog is in the", "kitchen"), ("a cat ate the", "fish"), ("yes or", "no")]


def test_recipe_is_language_modeling_alone() -> None:
    recipe = pretraining_recipe()
    # Section 3.4: 100,000 steps of batches of 16.
    assert (recipe.steps, recipe.batch_size) == (100_000, 16)
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
