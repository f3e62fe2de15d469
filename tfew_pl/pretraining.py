"""Pre-training a method's parameters on a multitask mixture of prompted examples (Section 3.4)."""

import dataclasses
import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import PreTrainedTokenizerBase

from tfew_pl.adaptation_file import backbone_digest, to_bytes
from tfew_pl.backbones import kind
from tfew_pl.encoding import Encoded, collate, tokenize
from tfew_pl.errors import UserError
from tfew_pl.loggers import NOWHERE, LogTo
from tfew_pl.module import DivergedError, TFewModule, loss_function
from tfew_pl.progress import Progress
from tfew_pl.quiet import quiet_lightning
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method
from tfew_pl.setting import Setting
from tfew_pl.spec import Precision
from tfew_pl.strategies import check_sharding, load_for, shard_for
from tfew_pl.trainer import make_trainer, micro_batch

PAPER_STEPS = 100_000
PAPER_BATCH_SIZE = 16
RELEASE_LEARNING_RATE = 3e-4
"""Of the released code's pre-training; the paper names none."""
SETTING_EXAMPLES = 1000
"""Examples that a method may look at before training, where it wants any: a mixture may be endless."""
Texts = Iterable[tuple[str, str]]
"""Pairs of input and target."""


def pretraining_recipe(
    steps: int = PAPER_STEPS, batch_size: int = PAPER_BATCH_SIZE, learning_rate: float = RELEASE_LEARNING_RATE
) -> Recipe:
    """The T-Few recipe with the language-modeling loss alone: mixtures have targets, not always choices."""
    return replace(
        Recipe(),
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        unlikelihood_weight=0.0,
        length_norm_weight=0.0,
        pretrained=False,
    )


class PromptedTexts(IterableDataset[Encoded]):
    """Tokenizes pairs of input and target as they come; the target is the only choice.

    Args:
        texts: gives the pairs from their start.
        tokenizer: of the backbone.
        places: which of them are taken.
    """

    def __init__(self, texts: Callable[[], Texts], tokenizer: PreTrainedTokenizerBase, places: range) -> None:
        self._texts = texts
        self._tokenizer = tokenizer
        self._places = places

    def __iter__(self) -> Iterator[Encoded]:
        taken = islice(self._texts(), self._places.start, self._places.stop, self._places.step)
        for number, (text, target) in zip(self._places, taken, strict=False):
            yield Encoded(tokenize(self._tokenizer, text), (tokenize(self._tokenizer, target),), gold=0, example=number)


class PretrainingData(pl.LightningDataModule):
    """The mixture from where a checkpoint left off; each process takes its share of every batch."""

    def __init__(self, texts: Callable[[], Texts], tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        super().__init__()
        self._texts, self._tokenizer, self._recipe = texts, tokenizer, recipe

    def train_dataloader(self) -> DataLoader[Encoded]:
        """Micro-batches, the batch size divided among devices and accumulated micro-batches."""
        trainer, recipe = self.trainer, self._recipe
        assert trainer is not None  # noqa: S101 (Lightning asks for the loader)
        start = trainer.global_step * recipe.batch_size + trainer.global_rank
        places = range(start, recipe.steps * recipe.batch_size, trainer.world_size)
        examples = PromptedTexts(self._texts, self._tokenizer, places)
        return DataLoader(examples, batch_size=micro_batch(trainer, recipe.batch_size), collate_fn=collate)


class KeepCheckpoint(pl.Callback):
    """Writes a checkpoint every so many steps, in place of the one before, and refuses another pre-training's.

    It is written beside its place and renamed into it. Lightning by itself writes into the system's temporary folder,
    whence a checkpoint is copied where that is another file system: killed meanwhile, it would leave half of one.

    Args:
        path: of the checkpoint.
        every: steps.
        identity: what the pre-training depends on.
    """

    def __init__(self, path: Path, every: int, identity: str) -> None:
        self.path, self.every, self.identity = path, every, identity
        self._saved = 0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """After a step of training.

        Raises:
            UserError: the checkpoint cannot be written; the one before is kept.
        """
        step = trainer.global_step
        if step == self._saved or step % self.every or step >= trainer.max_steps:
            return
        self._saved = step
        beside = self.path.with_name(f"{self.path.name}.unfinished")
        try:
            trainer.save_checkpoint(beside)
            if trainer.is_global_zero:
                os.replace(beside, self.path)
        except OSError as error:
            raise UserError(
                f"cannot write the checkpoint {self.path}: {error.strerror or error}; "
                f"the same command goes on from the one before"
            ) from error
        finally:
            if trainer.is_global_zero:
                beside.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """What of it is in the checkpoint."""
        return {"identity": self.identity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Checks that the checkpoint is of this pre-training.

        Raises:
            UserError: it is not.
        """
        if state_dict["identity"] != self.identity:
            raise UserError(
                f"{self.path} is a checkpoint of another pre-training: remove it to start anew, or give the backbone, "
                f"mixture, seed, steps and batch size that it was made with"
            )


def pretrain(
    method: str,
    backbone: str,
    texts: Callable[[], Texts],
    recipe: Recipe,
    seed: int = 0,
    *,
    precision: Precision = "fp32",
    mixture: str = "",
    checkpoint: Path | None = None,
    every: int = 1000,
    progress: Progress | None = None,
    trainer: Mapping[str, Any] | None = None,
    log: LogTo = NOWHERE,
) -> bytes:
    """Pre-trains a method on a backbone.

    Args:
        method: its name.
        backbone: alias, hub id or folder.
        texts: gives the mixture from its start, endless or long enough.
        recipe: see `pretraining_recipe`.
        seed: of the method's initialization.
        precision: of the backbone's weights.
        mixture: name of the texts, which the checkpoint keeps.
        checkpoint: where to keep one. If it is there, training goes on from it, as if never interrupted.
        every: steps between checkpoints.
        progress: told how far it has come.
        trainer: flags of Lightning's Trainer.
        log: loggers of the training, as a run that is called by the digest of all that it depends on.

    Returns:
        The content of the adaptation's file.

    Raises:
        UserError: the backbone is no T5, the checkpoint is damaged, cannot be written or is of another pre-training,
            the Trainer's flags do not fit, or a loss is not a number.
    """
    chosen = get_method(method)
    architecture = kind(backbone)
    if not architecture.encoder_decoder:
        raise UserError(
            f"backbone {backbone}: a causal {architecture.model_type} cannot be pre-trained here; method {method} "
            f"needs one of the T5 family"
        )
    with quiet_lightning():
        lightning = make_trainer(recipe, precision, progress, trainer)
    micro_batch(lightning, recipe.batch_size)
    check_sharding(lightning, backbone, precision, encoder_decoder=True, changes_weights=not chosen.slotted)
    loaded = load_for(lightning, backbone, precision)
    first = PromptedTexts(texts, loaded.tokenizer, range(min(SETTING_EXAMPLES, recipe.steps * recipe.batch_size)))
    setting = Setting(
        tokenizer=loaded.tokenizer,
        batches=lambda: (collate([example]) for example in first),
        loss=loss_function(loaded.model, recipe),
    )
    generator = torch.Generator().manual_seed(seed)
    adaptation = chosen.attach(loaded.model, generator=generator, setting=setting)
    digest = backbone_digest(loaded.model)
    settings = {"method": method, "backbone": digest, "seed": seed, "mixture": mixture, "precision": precision}
    settings |= dataclasses.asdict(recipe)
    identity = json.dumps(settings, sort_keys=True)
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    kept = checkpoint if checkpoint is not None and checkpoint.is_file() else None
    try:
        module = TFewModule(loaded.model, adaptation, recipe, choices=1)
        with log.open({name: settings}, _step(kept)) as training_log, quiet_lightning():
            callbacks: list[pl.Callback] = [training_log]
            if checkpoint is not None:
                callbacks.append(KeepCheckpoint(checkpoint, every, identity))
            lightning.callbacks.extend(callbacks)  # type: ignore[attr-defined]  # set where mypy does not look
            shard_for(lightning, loaded, adaptation)
            lightning.fit(
                module,
                datamodule=PretrainingData(texts, loaded.tokenizer, recipe),
                ckpt_path=kept,
                weights_only=True,
            )
    except DivergedError as error:
        raise UserError(f"the pre-training diverged: {error}; try another --seed") from error
    else:
        return to_bytes(adaptation, method, digest)
    finally:
        adaptation.detach()


def _step(checkpoint: Path | None) -> int:
    """Of the optimizer, in Lightning's checkpoint; 0 without one.

    Raises:
        UserError: it cannot be read.
    """
    if checkpoint is None:
        return 0
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{checkpoint}: not a readable checkpoint; remove it to start anew") from error
