"""Pre-training a method's parameters on a multitask mixture of prompted examples (Section 3.4)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import PreTrainedTokenizerBase

from tfew_pl.adaptation_file import backbone_digest, to_bytes
from tfew_pl.backbones import load_backbone
from tfew_pl.encoding import Encoded, collate, tokenize
from tfew_pl.module import TFewModule, loss_function
from tfew_pl.progress import Progress
from tfew_pl.quiet import quiet_lightning
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method
from tfew_pl.setting import Setting
from tfew_pl.trainer import make_trainer

PAPER_STEPS = 100_000
PAPER_BATCH_SIZE = 16
SETTING_EXAMPLES = 1000
"""Examples that a method may look at before training, where it wants any: a mixture may be endless."""
Texts = Iterable[tuple[str, str]]
"""Pairs of input and target."""


def pretraining_recipe(steps: int = PAPER_STEPS, batch_size: int = PAPER_BATCH_SIZE) -> Recipe:
    """The T-Few recipe with the language-modeling loss alone: mixtures have targets, not always choices."""
    return replace(
        Recipe(),
        steps=steps,
        batch_size=batch_size,
        unlikelihood_weight=0.0,
        length_norm_weight=0.0,
        pretrained=False,
    )


class PromptedTexts(IterableDataset[Encoded]):
    """Tokenizes pairs of input and target as they come; the target is the only choice."""

    def __init__(self, texts: Callable[[], Texts], tokenizer: PreTrainedTokenizerBase, size: int) -> None:
        self._texts = texts
        self._tokenizer = tokenizer
        self._size = size

    def __iter__(self) -> Iterator[Encoded]:
        for number, (text, target) in enumerate(islice(self._texts(), self._size)):
            yield Encoded(tokenize(self._tokenizer, text), (tokenize(self._tokenizer, target),), gold=0, example=number)


def pretrain(
    method: str,
    backbone: str,
    texts: Callable[[], Texts],
    recipe: Recipe,
    seed: int = 0,
    *,
    progress: Progress | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> bytes:
    """Pre-trains a method on a backbone.

    Args:
        method: its name.
        backbone: alias, hub id or folder.
        texts: gives the mixture from its start, endless or long enough.
        recipe: see `pretraining_recipe`.
        seed: of the method's initialization.
        progress: told how far it has come.
        trainer: flags of Lightning's Trainer.

    Returns:
        The content of the adaptation's file.
    """
    loaded = load_backbone(backbone)
    examples = PromptedTexts(texts, loaded.tokenizer, recipe.steps * recipe.batch_size)
    setting = Setting(
        tokenizer=loaded.tokenizer,
        batches=lambda: (collate([example]) for example in islice(examples, SETTING_EXAMPLES)),
        loss=loss_function(loaded.model, recipe),
    )
    generator = torch.Generator().manual_seed(seed)
    adaptation = get_method(method).attach(loaded.model, generator=generator, setting=setting)
    try:
        module = TFewModule(loaded.model, adaptation, recipe, choices=1)
        with quiet_lightning():
            batches = DataLoader(examples, batch_size=recipe.batch_size, collate_fn=collate)
            make_trainer(recipe, progress=progress, options=trainer).fit(module, batches)
        return to_bytes(adaptation, method, backbone_digest(loaded.model))
    finally:
        adaptation.detach()
