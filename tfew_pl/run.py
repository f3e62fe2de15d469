"""run(spec) -> record: from what determines a run to what it found; and several runs as slots of one model."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from torch import Tensor

from tfew_pl import environment, metrics
from tfew_pl.accounting import count_flops, run_costs
from tfew_pl.adaptation_file import backbone_digest, to_bytes
from tfew_pl.attachment import attach
from tfew_pl.backbones import Backbone, kind
from tfew_pl.classifier_run import run_classifier
from tfew_pl.compiled import CompiledStacks
from tfew_pl.costs import PeakMemory
from tfew_pl.datamodule import TFewDataModule
from tfew_pl.encoding import Encoded, in_slot
from tfew_pl.errors import UserError
from tfew_pl.grouping import model_key
from tfew_pl.icl import Probes, calibrate
from tfew_pl.loggers import NOWHERE, LogTo, accuracies
from tfew_pl.method import Adaptation
from tfew_pl.module import DivergedError, TFewModule
from tfew_pl.preparation import PreparedRun, prepare
from tfew_pl.progress import Progress
from tfew_pl.quiet import quiet_lightning
from tfew_pl.record import RunRecord
from tfew_pl.registry import get_method, registered_classifiers
from tfew_pl.resolve import resolve
from tfew_pl.resume import Checkpoint
from tfew_pl.spec import RunSpec
from tfew_pl.strategies import check_sharding, is_sharded, load_for, shard_for
from tfew_pl.trainer import make_trainer, micro_batch
from tfew_pl.training_log import TrainingLog

_SEEDS_APART = 1_000_003
"""Between the random numbers of the devices, with which dropout drops other activations on each."""


def run(
    spec: RunSpec,
    *,
    progress: Progress | None = None,
    trainer: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
    log: LogTo = NOWHERE,
) -> RunRecord:
    """Runs what a spec describes.

    Args:
        spec: the run; its revisions are filled in if they are not.
        progress: told how far the run has come.
        trainer: flags of Lightning's Trainer, such as `accelerator`, `devices`, `strategy`.
        checkpoint: where the training is kept, and taken up again if it is there.
        log: loggers of the training and its accuracies.

    Raises:
        UserError: the spec cannot be run, or a loss is not a number.
    """
    return run_group([spec], progress=progress, trainer=trainer, checkpoint=checkpoint, log=log)[0]


def run_group(
    specs: Sequence[RunSpec],
    *,
    progress: Progress | None = None,
    trainer: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
    log: LogTo = NOWHERE,
) -> list[RunRecord]:
    """Runs several specs as slots of one model, each with the updates that it would get alone.

    A record differs from that of `run` in rounding, in the seconds, which are the group's divided by its runs, and
    in `environment["group"]`, which says so.

    Args:
        specs: runs of one `model_key`, of one task or several; with a single one it is `run`.
        progress: told how far all of them have come.
        trainer: flags of Lightning's Trainer, as for `run`.
        checkpoint: as for `run`, of all of them.
        log: as for `run`; each run logs as its own.

    Returns:
        A record for each spec, in their order.

    Raises:
        UserError: a spec cannot be run; or a loss is not a number: the message names the run, and no run of the group
            has a record.
        ValueError: the runs cannot be trained together.
    """
    specs = [resolve(spec) for spec in specs]
    keys = {model_key(spec) for spec in specs} if len(specs) > 1 else set()
    if len(keys) > 1 or None in keys:
        labels = "; ".join(spec.label() for spec in specs)
        raise ValueError(f"runs that are trained together must have one model_key: {labels}")
    opened = {spec.digest: spec.identity() for spec in specs}
    if specs[0].method in registered_classifiers():
        if trainer:
            raise UserError(f"method {specs[0].method} has a trainer of its own, without {', '.join(trainer)}")
        with log.open(opened) as training_log:
            return _logged([run_classifier(specs[0], progress)], training_log)
    with quiet_lightning(), torch.random.fork_rng():
        lightning = make_trainer(specs[0].recipe, specs[0].precision, progress, trainer)
        _check(specs, lightning)
        if checkpoint is not None:
            checkpoint.require(_circumstances(specs[0], lightning))
            _callbacks(lightning).append(checkpoint)
        with log.open(opened, checkpoint.step if checkpoint else 0) as training_log:
            _callbacks(lightning).append(training_log)
            return _logged(_run_together(specs, lightning, checkpoint), training_log)


def _logged(records: list[RunRecord], training_log: TrainingLog) -> list[RunRecord]:
    for slot, record in enumerate(records):
        training_log.write(slot, accuracies(record), record.spec.recipe.steps if record.spec.trains else 0)
    return records


def _circumstances(spec: RunSpec, trainer: pl.Trainer) -> dict[str, Any]:
    """All on which the last digits of a training depend beside its spec, as its record says it."""
    described = environment.describe(trainer.strategy.root_device)
    described["precision"] = trainer.precision
    if trainer.world_size > 1:
        described["devices"] = trainer.world_size
    if spec.trains and _is_compiled(trainer):
        described["compiled"] = True
    return described


def _run_together(specs: Sequence[RunSpec], lightning: pl.Trainer, checkpoint: Checkpoint | None) -> list[RunRecord]:
    """What `run_group` says, of resolved specs of one `model_key`."""
    spec = specs[0]
    peak = PeakMemory()
    backbone = load_for(lightning, spec.backbone, spec.precision)
    digest = backbone_digest(backbone.model)
    runs = prepare(specs, backbone)
    with _attached(runs, backbone, lightning) as (adaptation, flops):
        examples = [in_slot(example, slot) for slot, run in enumerate(runs) for example in run.examples]
        most = max(len(example.choices) for example in examples)
        module = TFewModule(backbone.model, adaptation, spec.recipe, most, spec.in_context.combine)
        draws = [run.draws for run in runs if run.draws is not None]
        data = TFewDataModule(draws, examples, spec.recipe.batch_size, checkpoint.step if checkpoint else 0)
        torch.manual_seed(spec.seed + _SEEDS_APART * lightning.global_rank)
        start = time.perf_counter() - (checkpoint.seconds if checkpoint else 0.0)
        if adaptation is not None:
            try:
                lightning.fit(module, datamodule=data)
            except DivergedError as error:
                raise UserError(f"{specs[error.slot].label()}: {error}; try a smaller recipe.learning_rate") from error
        trained_at = time.perf_counter()
        probes = runs[0].probes  # of its only run: those that learn in context are not grouped
        if probes is not None:
            data = TFewDataModule([], _calibrated(examples, probes, module))
        lightning.test(module, datamodule=data, verbose=False)
        seconds = (trained_at - start, time.perf_counter() - trained_at)
        return [
            _record(run, slot, len(runs), module, backbone, digest, flops[slot], seconds, peak)
            for slot, run in enumerate(runs)
        ]


def _callbacks(trainer: pl.Trainer) -> list[Callback]:
    """The Trainer's own list, which it sets where mypy does not look."""
    found: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return found


def _is_compiled(trainer: pl.Trainer) -> bool:
    return any(isinstance(callback, CompiledStacks) for callback in _callbacks(trainer))


def _check(specs: Sequence[RunSpec], trainer: pl.Trainer) -> None:
    """Refuses what the Trainer cannot do with the runs, before anything is loaded.

    Raises:
        UserError: a batch cannot be divided among its devices, or the backbone cannot be sharded, or not if compiled.
        ValueError: a backbone is sharded for one run at a time.
    """
    spec = specs[0]
    if spec.trains:
        micro_batch(trainer, spec.recipe.batch_size)
    if is_sharded(trainer) and _is_compiled(trainer):
        raise UserError("--compile cannot be used with --strategy fsdp")
    check_sharding(
        trainer,
        spec.backbone,
        spec.precision,
        encoder_decoder=kind(spec.backbone).encoder_decoder,
        changes_weights=spec.trains and not get_method(spec.method, spec.options).slotted,
    )
    if is_sharded(trainer) and len(specs) > 1:
        raise ValueError("a backbone is sharded for one run at a time")


def _calibrated(examples: Sequence[Encoded], probes: Probes, module: TFewModule) -> list[Encoded]:
    """Examples behind their contexts, with the offsets of contextual calibration."""
    device = module.backbone.device
    with torch.no_grad():
        return calibrate(examples, probes, lambda batch: module.rank(batch.to(device)))


@contextmanager
def _attached(
    runs: Sequence[PreparedRun], backbone: Backbone, trainer: pl.Trainer
) -> Iterator[tuple[Adaptation | None, list[tuple[float, float]]]]:
    """Within it, the runs' method is on the backbone, the start of each run in the slot of its place.

    Each run's method is attached alone first: it starts from its own seed and setting, and its FLOPs are counted. What
    it is attached to is whole; then the Trainer shards the backbone, if it does so.

    Yields:
        The adaptation, None for runs that train nothing; and what `count_flops` gives for each run.
    """
    starts: list[dict[str, Tensor]] = []
    flops = []
    adaptation = None
    try:
        for run in runs:
            adaptation = attach(run, backbone) if run.spec.trains else None
            shard_for(trainer, backbone, adaptation)
            module = TFewModule(backbone.model, adaptation, run.spec.recipe, choices=1)
            part = micro_batch(trainer, run.spec.recipe.batch_size) if run.spec.trains else 1
            flops.append(count_flops(run, module, part))
            if adaptation is not None and len(runs) > 1:
                starts.append({name: tensor.clone() for name, tensor in adaptation.state_dict().items()})
                adaptation.detach()
        if starts:
            adaptation = attach(runs[0], backbone, slots=len(runs))
            adaptation.fill(starts)
        yield adaptation, flops
    finally:
        backbone.model.eval()  # dropout is on in a training that ended early
        if adaptation is not None:
            adaptation.detach()


def _record(
    run: PreparedRun,
    slot: int,
    slots: int,
    module: TFewModule,
    backbone: Backbone,
    digest: str,
    flops: tuple[float, float],
    seconds: tuple[float, float],
    peak: PeakMemory,
) -> RunRecord:
    """What a run has found, in its slot of a trained and evaluated module."""
    spec, adaptation = run.spec, module.adaptation
    table = module.predictions.table(slot)
    content = None if adaptation is None else to_bytes(adaptation, spec.method, digest, slot)
    trainer = module.trainer
    described = _circumstances(spec, trainer)
    described["backbone"] = {"digest": digest, "dtype": str(backbone.model.dtype).removeprefix("torch.")}
    if slots > 1:
        described["group"] = {"runs": slots, "seconds": "those of all runs, divided by their number"}
    return RunRecord(
        spec=spec,
        accuracy=metrics.accuracy(table, run.templates),
        predictions=table,
        losses=module.loss_table(slot),
        costs=run_costs(
            run,
            backbone,
            counts=None if adaptation is None else adaptation.counts(),
            stored=len(content or b""),
            flops=flops,
            seconds=(seconds[0] / slots, seconds[1] / slots),
            peak_memory=peak.of(trainer.strategy.root_device),
        ),
        environment=described,
        adaptation=content,
    )
