"""Pre-training: a LightningModule, a LightningDataModule and a Trainer of single-threaded data-parallel processes.

At this size two single-threaded processes are faster than one process with two threads, and compiling the model
gives a third more (it needs a C++ compiler, and takes a minute at first).
"""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from transformers import T5ForConditionalGeneration

from tfew_pl.compiled import has_compiler
from tfew_pl.pocket.corpus import Corpus
from tfew_pl.quiet import quiet_lightning

_log = logging.getLogger(__name__)
_WARMUP = 100
_BUCKET = 40


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Args:
        steps: optimizer steps.
        batch: examples a step, over all processes.
        rate: the highest learning rate.
        final: share of it that is left at the end of the cosine.
    """

    steps: int
    batch: int
    rate: float
    final: float

    def factor(self, step: int) -> float:
        """Share of the learning rate at a step: linear warm-up times a cosine."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return min(1.0, (step + 1) / _WARMUP) * (self.final + (1 - self.final) * cosine)


class Batches(IterableDataset[tuple[Tensor, Tensor]]):
    """Batches of like length in an order that only the seed decides; each process takes its share of every batch."""

    def __init__(self, corpus: Corpus, batch: int, seed: int, rank: int, processes: int) -> None:
        self.corpus, self.batch, self.seed, self.rank, self.processes = corpus, batch, seed, rank, processes

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng, size = np.random.default_rng(self.seed), self.batch
        while True:
            order = rng.permutation(len(self.corpus))
            for start in range(0, len(order) - size + 1, size * _BUCKET):
                bucket = order[start : start + size * _BUCKET]
                bucket = bucket[np.argsort(self.corpus.lengths[bucket], kind="stable")]
                batches = [bucket[i : i + size] for i in range(0, len(bucket) - size + 1, size)]
                rng.shuffle(batches)
                for batch in batches:
                    share = batch[self.rank :: self.processes].tolist()
                    yield tuple(torch.from_numpy(self.corpus.padded(side, share)) for side in (0, 1))  # type: ignore[misc]


class PretrainingData(pl.LightningDataModule):
    """The batches of a corpus."""

    def __init__(self, corpus: Path, batch: int, seed: int) -> None:
        super().__init__()
        self.corpus, self.batch, self.seed = corpus, batch, seed

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = Batches(Corpus(self.corpus), self.batch, self.seed, rank, processes)
        return DataLoader(batches, batch_size=None)


class Pretraining(pl.LightningModule):
    """Next-token loss over source and target."""

    def __init__(self, model: T5ForConditionalGeneration, schedule: Schedule, compiled: bool) -> None:
        super().__init__()
        self.model, self.schedule, self.compiled = model, schedule, compiled
        self._tokens, self._begin, self._mean = 0, 0.0, 0.0

    def on_fit_start(self) -> None:
        torch.set_num_threads(1)
        for module in self.model.modules():
            if hasattr(module, "wi_0"):
                module.act = nn.GELU(approximate="tanh")  # the same function as "gelu_new", in one kernel
        if self.compiled:
            torch._dynamo.config.optimize_ddp = False
            self.model.compile(dynamic=True)

    def on_train_start(self) -> None:
        if not logging.getLogger().handlers:  # a spawned process has none of its parent's
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        self._begin = time.monotonic()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        source, target = batch
        labels = target.masked_fill(target == 0, -100)
        loss: Tensor = self.model(input_ids=source, attention_mask=(source != 0).long(), labels=labels).loss
        self._tokens += int((source != 0).sum() + (target != 0).sum())
        self._mean = loss.item() if index == 0 else 0.98 * self._mean + 0.02 * loss.item()
        if self.global_rank == 0 and (index + 1) % 100 == 0:
            tokens, seconds = self._tokens * self.trainer.world_size, time.monotonic() - self._begin
            _log.info(
                "step %d of %d, loss %.3f, %.1f M tokens, %.0f tokens/s",
                index + 1, self.schedule.steps, self._mean, tokens / 1e6, tokens / seconds,
            )  # fmt: skip
        return loss

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        # Lightning refuses to clip beside a fused optimizer, which unscales nothing in bf16
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)

    def configure_optimizers(self) -> Any:
        groups: dict[str, list[Tensor]] = {"matrix": [], "other": [], "position": []}
        for name, parameter in self.model.named_parameters():
            matrix = parameter.ndim == 2 and "shared" not in name
            groups["position" if "relative" in name else "matrix" if matrix else "other"].append(parameter)
        rate = self.schedule.rate
        optimizer = torch.optim.AdamW(
            [
                {"params": groups["matrix"], "weight_decay": 0.03, "lr": rate},
                {"params": groups["other"], "weight_decay": 0.0, "lr": rate},
                {"params": groups["position"], "weight_decay": 0.0, "lr": 3 * rate},
            ],
            betas=(0.9, 0.98),
            fused=True,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule.factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def pretrain(
    model: T5ForConditionalGeneration,
    corpus: Path,
    schedule: Schedule,
    seed: int,
    processes: int = 2,
    compiled: bool | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> None:
    """Trains a model in place.

    The same seed, machine type, compiler and number of processes give the same weights, bit for bit.

    Args:
        model: what to train.
        corpus: the file of its examples.
        schedule: how long and how fast.
        seed: decides the order of the examples.
        processes: data-parallel processes.
        compiled: whether to compile the model; by default if there is a C++ compiler.
        callbacks: Lightning's, for whoever wants to look on.
    """
    model.set_attn_implementation("eager")
    model.train()
    strategy: Any = "auto"
    if processes > 1:
        strategy = DDPStrategy(
            start_method="spawn",
            process_group_backend="gloo",
            gradient_as_bucket_view=True,
            timeout=timedelta(minutes=30),
        )
    if compiled is None:
        compiled = has_compiler()
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=processes,
            strategy=strategy,
            precision="32-true",
            max_steps=schedule.steps,
            use_distributed_sampler=False,
            callbacks=list(callbacks),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Pretraining(model, schedule, compiled), PretrainingData(corpus, schedule.batch, seed))
