"""The stages of the pocket backbones: what each is trained on, how long and how fast."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from pytorch_lightning import Callback
from transformers import T5ForConditionalGeneration

from tfew_pl.errors import UserError
from tfew_pl.pocket import architecture, corpus
from tfew_pl.pocket.architecture import one_embedding
from tfew_pl.pocket.pretraining import Schedule, pretrain

_log = logging.getLogger(__name__)
DROPOUT = 0.1
"""What the saved configurations ask for in fine-tuning, as T5 v1.1's do; pre-training drops nothing, as theirs."""


@dataclass(frozen=True)
class Round:
    """A learning-rate schedule over a corpus.

    Args:
        shares: sort of example -> share (see `tfew_pl.pocket.corpus.Source`).
        examples: how many are generated; with more steps than fill one pass, they come again in another order.
        schedule: steps, batch and learning rate.
        tied: whether the head is the table of embeddings while it trains.
    """

    shares: Mapping[str, float]
    examples: int
    schedule: Schedule
    tied: bool = False


STAGES: dict[str, tuple[Round, ...]] = {
    "span": (Round({"span": 1.0}, 110_000, Schedule(steps=800, batch=128, rate=8e-4, final=0.5)),),
    "lm": (
        Round({"skill": 0.9, "prefix": 0.1}, 512_000, Schedule(steps=4000, batch=128, rate=8e-4, final=0.4)),
        Round(
            {"skill": 0.5, "prefix": 0.25, "context": 0.25},
            192_000,
            Schedule(steps=1500, batch=128, rate=6e-4, final=0.3),
        ),
    ),
    "t0": (
        Round({"skill": 0.4, "p3": 0.5, "span": 0.1}, 192_000, Schedule(steps=1000, batch=192, rate=8e-4, final=0.9)),
        Round(
            {"skill": 0.4, "p3": 0.5, "span": 0.1},
            576_000,
            Schedule(steps=3000, batch=192, rate=8e-4, final=0.02),
            tied=True,
        ),
    ),
}
"""In order; each starts from the one before. "lm" gives pocket-lm, "t0" gives pocket-t0.

The head is the embeddings in the last round only. With a head of its own, a label word that no training question has as
its answer is only ever pushed down, and few-shot training cannot raise it; with one table from the start, matching a
question with the fact it is about (who is where, of several who are somewhere) was not learned in a hundred million
tokens. With a head of its own it is learned by one seed of two; see the model card.
"""


def run_stage(
    stage: str,
    out: Path,
    seed: int,
    init: Path | None = None,
    *,
    tokenizer: Path | None = None,
    cache: Path | None = None,
    processes: int = 2,
    compiled: bool | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Runs one stage and writes a Hugging Face folder.

    The generated examples are the same for every seed; the seed decides the initialization and their order.

    Args:
        stage: a key of `STAGES`.
        out: the folder to write.
        seed: of the pre-training run.
        init: the folder of the stage before; None starts from scratch.
        tokenizer: folder of the tokenizer's files; by default the one in `init`.
        cache: where generated examples are kept; by default beside `out`.
        processes: data-parallel processes; part of what decides the weights bit for bit.
        compiled: whether to compile the model (the same holds); by default if there is a C++ compiler.
        callbacks: Lightning's, for whoever wants to look on.

    Raises:
        UserError: an unknown stage, or neither `init` nor `tokenizer` given.
    """
    if stage not in STAGES:
        raise UserError(f"no pre-training stage {stage!r}: choose from {', '.join(STAGES)}")
    files = tokenizer or init
    if files is None:
        raise UserError(f"stage {stage!r} needs --init (the stage before) or --tokenizer (a trained tokenizer)")
    begin = time.monotonic()
    for number, recipe in enumerate(STAGES[stage]):
        name = f"{stage}-{number + 1}" if number else stage
        path = (cache or out.parent) / f"{name}.npz"
        texts = corpus.build(path, files, recipe.shares, recipe.examples, f"corpus {name}", processes)
        _log.info("%s: %d examples, %.1f M tokens", name, len(texts), texts.tokens / 1e6)
        source = out if number else init  # a round starts from what the one before wrote, in its precision
        model = _without_dropout(source) if source else architecture.initialized(corpus.vocabulary(files), seed)
        with one_embedding(model) if recipe.tied else nullcontext():
            pretrain(model, path, recipe.schedule, seed + 1000 * number, processes, compiled, callbacks)
        architecture.save(model, files, out, DROPOUT)
        _log.info("%s: written to %s after %.1f minutes", name, out.name, (time.monotonic() - begin) / 60)


def _without_dropout(folder: Path) -> T5ForConditionalGeneration:
    model = architecture.load(folder)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            vars(module)["dropout"] = 0.0
    return model
