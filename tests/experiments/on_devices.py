"""What test_several_devices.py starts on two processes, and does alone to compare.

Arguments: a backbone's folder, a folder to write to. Lightning starts the same once more for the second process.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from experiments.cli import main
from tfew_pl import ranking, strategies
from tfew_pl.encoding import Encoded, collate
from tfew_pl.module import loss_function
from tfew_pl.pretraining import pretrain, pretraining_recipe
from tfew_pl.quiet import quiet_lightning
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method, registered_methods
from tfew_pl.resolve import resolve
from tfew_pl.resume import Checkpoint
from tfew_pl.run import run
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.store import CHECKPOINTS, RunStore
from tfew_pl.trainer import make_trainer

TEXTS = [(f"the dog number {number} is in", ("kitchen", "big garden")[number % 2]) for number in range(9)]
STEPS = 6
LAYERS = ("encoder.block", "decoder.block")


class Killed(BaseException):
    """Stands for kill -9: nothing in between reacts to it."""


class CountShards(pl.Callback):
    """Notes how many values of the backbone's layers this process holds between two steps."""

    def __init__(self) -> None:
        self.held = self.whole = 0

    def on_train_batch_end(self, _trainer: Any, module: Any, *_: Any) -> None:
        layers = [p for name, p in module.backbone.named_parameters() if name.startswith(LAYERS)]
        self.held = sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in layers)
        self.whole = sum(p.numel() for p in layers)


def methods(strategy: str | None) -> list[str]:
    """Those that the strategy takes."""
    return [name for name in sorted(registered_methods()) if strategy != "fsdp" or get_method(name).slotted]


def tfew(*arguments: object) -> None:
    """The command line, which must succeed."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{arguments}: code {end.code}") from end


def training(backbone: str) -> tuple[str, ...]:
    """Arguments of a short run."""
    few = "--shots 6 --steps 3 --without pretraining --set recipe.batch_size=4 --examples 5 --templates 2 --json"
    return ("run", "--task", "rte", "--backbone", backbone, *few.split())


def run_all(backbone: str, out: Path, strategy: str | None, rank: str) -> None:
    """Every method in a run by the command line, and a run without training. A process has a store of its own."""
    flags = ["--accelerator", "cpu", *(["--devices", "2", "--strategy", strategy] if strategy else [])]
    store = ["--store", out / f"{strategy}-{rank}"]
    for method in [*methods(strategy), "zero-shot"]:
        tfew(*training(backbone), "--method", method, *store, *flags)
    vectors = ["--backbone", backbone, "--mixture", "pocket", "--steps", "3", "--batch-size", "4"]
    tfew("pretrain", *vectors, "--checkpoint-every", "2", "--out", out / f"{strategy}-{rank}.safetensors", *flags)


def killed_and_resumed(backbone: str, out: Path, strategy: str) -> None:
    """A training and a pre-training, each undisturbed, and killed and taken up again."""
    recipe = Recipe(steps=STEPS, batch_size=4, pretrained=False, dropout="checkpoint")  # random numbers at every step
    spec = resolve(RunSpec("rte", backbone, recipe=recipe, shots=6, evaluation=Evaluation(examples=5, templates=2)))
    flags: dict[str, Any] = {"accelerator": "cpu", "devices": 2, "strategy": strategy}

    def killed(stage: str, share: float) -> None:
        if stage == "training" and share >= 0.8:
            raise Killed

    shards = CountShards()
    records = {"undisturbed": run(spec, trainer={**flags, "callbacks": [shards]})}
    kept = out / strategy / CHECKPOINTS
    with suppress(Killed):
        run(spec, trainer=flags, progress=killed, checkpoint=Checkpoint(kept, [spec], 2))
    again = Checkpoint(kept, [spec], 2)
    require(again.step == 4, f"step {again.step} was kept")
    records["resumed"] = run(spec, trainer=flags, checkpoint=again)
    vectors = {}
    for name, stop in (("undisturbed", None), ("resumed", killed), ("resumed", None)):
        with suppress(Killed):
            vectors[name] = pretrain(
                "ia3",
                backbone,
                lambda: cycle(TEXTS),
                pretraining_recipe(STEPS, 4),
                checkpoint=out / strategy / f"{name}.checkpoint",
                every=2,
                progress=stop,
                trainer=flags,
            )
    expected = shards.whole if strategy == "ddp" else shards.whole // 2
    require(abs(shards.held - expected) < 0.01 * shards.whole, f"{shards.held} values of {shards.whole} held")
    if rank_of_process() == "0":
        for name, record in records.items():
            RunStore(out / strategy / name).save(record)
        for name, content in vectors.items():
            (out / strategy / f"{name}.safetensors").write_bytes(content)


def long_lists_of_choices(backbone: str) -> None:
    """A sharded backbone gives the gradients of a whole one, however many choices are decoded at once."""
    examples = [Encoded((5, 6, 7, 1), tuple((8 + n, 9, 1) for n in range(7)), gold=2), Encoded((4, 1), ((3, 1),), 0)]
    batch = collate(examples)
    flags = {"accelerator": "cpu", "devices": 2, "strategy": "fsdp"}
    with quiet_lightning():
        trainer = make_trainer(Recipe(), options=flags)
    whole = strategies.load_for(trainer, backbone, "fp32")
    adaptation = get_method("ia3").attach(whole.model, generator=torch.Generator())
    loss = loss_function(whole.model, Recipe())

    def gradients() -> list[torch.Tensor]:
        adaptation.zero_grad()
        loss(batch).backward()
        return [p.grad for p in adaptation.parameters() if p.grad is not None]

    expected = gradients()
    strategies.shard_for(trainer, whole, adaptation)
    for tokens in (1 << 20, 2 * 2 * 3):
        ranking.score_choices.__kwdefaults__["tokens"] = tokens
        torch.testing.assert_close(gradients(), expected)


def require(holds: bool, message: str) -> None:
    """Raises unless it holds."""
    if not holds:
        raise RuntimeError(message)


def rank_of_process() -> str:
    """As Lightning numbers it."""
    return os.environ.get("LOCAL_RANK", "0")


def compute(arguments: Sequence[str]) -> None:
    """Everything on two processes."""
    backbone, out = arguments[0], Path(arguments[1])
    for strategy in ("ddp", "fsdp"):
        run_all(backbone, out, strategy, rank_of_process())
        killed_and_resumed(backbone, out, strategy)
    long_lists_of_choices(backbone)


if __name__ == "__main__":
    compute(sys.argv[1:])
