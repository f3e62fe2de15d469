"""What loggers write, read back by their own readers."""

import dataclasses
import json
import os
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from tfew_pl.errors import UserError
from tfew_pl.loggers import LogTo
from tfew_pl.recipe import Recipe
from tfew_pl.record import RunRecord, median_accuracy
from tfew_pl.resolve import resolve
from tfew_pl.resume import Checkpoint
from tfew_pl.run import run, run_group
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec

CPU = {"accelerator": "cpu"}
STEPS = 6
Scalars = dict[str, dict[int, float]]


def make(backbone: Path, seed: int = 0, **fields: Any) -> RunSpec:
    recipe = Recipe(steps=STEPS, pretrained=False, warmup_ratio=0.5)
    return resolve(
        RunSpec(
            "rte",
            backbone=str(backbone),
            seed=seed,
            recipe=recipe,
            evaluation=Evaluation(examples=4, templates=2),
            shots=6,
            **fields,
        )
    )


def tensorboard(folder: Path) -> Scalars:
    """Every scalar of a run's event files: its values by step, as TensorBoard would show them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        points = [(event.step, event.value) for event in events.Scalars(tag)]
        assert all(one[0] < other[0] for one, other in pairwise(points)), "each step once, in order"
        found[tag] = dict(points)
    return found


def check(scalars: Scalars, record: RunRecord) -> None:
    """The scalars are the record's: losses, their weighted sum, accuracies."""
    recipe = record.spec.recipe
    losses = record.losses.set_index("step")
    steps = list(range(1, STEPS + 1))
    for name in ("lm", "unlikelihood", "length_norm"):
        assert scalars[f"loss/{name}"] == pytest.approx(losses[name].to_dict())
    assert scalars["loss/total"] == pytest.approx(losses.sum(axis=1).to_dict())
    # Three steps of warm-up, three of decay: the rate of a step, before the schedule moves on.
    rates = [recipe.learning_rate * share for share in (0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3)]
    assert [scalars["learning_rate"][step] for step in steps] == pytest.approx(rates)
    assert list(scalars["gradient_norm"]) == steps
    assert min(scalars["gradient_norm"].values()) > 0
    assert scalars["accuracy/median"] == pytest.approx({STEPS: median_accuracy(record.accuracy)})
    each = {name: value for name, value in scalars.items() if name.startswith("accuracy/") and "median" not in name}
    assert [of[STEPS] for of in each.values()] == pytest.approx(list(record.accuracy.values()))


def assert_same(plain: Sequence[RunRecord], logged: Sequence[RunRecord]) -> None:
    for one, other in zip(plain, logged, strict=True):
        assert (one.spec, one.accuracy, one.adaptation) == (other.spec, other.accuracy, other.adaptation)
        assert one.environment == other.environment
        pd.testing.assert_frame_equal(one.losses, other.losses, check_exact=True)
        pd.testing.assert_frame_equal(one.predictions, other.predictions, check_exact=True)


def test_each_run_of_a_group_is_one_of_tensorboards_and_no_record_changes(
    backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    specs = [make(backbone_folder, seed) for seed in (0, 1)]
    plain = run_group(specs, trainer=CPU)
    assert list(tmp_path.iterdir()) == [], "off by default"
    records = run_group(specs, trainer=CPU, log=LogTo(("tensorboard",), tmp_path / "store"))
    assert_same(plain, records)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    folders = sorted((tmp_path / "store" / "tensorboard").iterdir())
    assert [folder.name for folder in folders] == sorted(spec.digest for spec in specs)
    norms = []
    for record in records:
        folder = tmp_path / "store" / "tensorboard" / record.spec.digest
        scalars = tensorboard(folder)
        check(scalars, record)
        norms.append(list(scalars["gradient_norm"].values()))
        settings = yaml.safe_load((folder / "hparams.yaml").read_text())
        assert settings["seed"] == record.spec.seed
        assert settings["recipe"]["steps"] == STEPS
    assert norms[0] != norms[1]

    # Alone, the second run's gradients are the same: each slot's norm is its own.
    run(specs[1], trainer=CPU, log=LogTo(("tensorboard",), tmp_path / "alone"))
    alone = tensorboard(tmp_path / "alone" / "tensorboard" / specs[1].digest)
    assert list(alone["gradient_norm"].values()) == pytest.approx(norms[1], rel=1e-4)


def test_the_gradients_norm_is_that_before_clipping(backbone_folder: Path, tmp_path: Path) -> None:
    spec = make(backbone_folder)
    clipped = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, steps=1, gradient_clip=1e-3))
    run(clipped, trainer=CPU, log=LogTo(("tensorboard",), tmp_path))
    (folder,) = (tmp_path / "tensorboard").iterdir()
    assert tensorboard(folder)["gradient_norm"][1] > 1e-2


def test_a_method_without_slots(backbone_folder: Path, tmp_path: Path) -> None:
    spec = make(backbone_folder, method="full")
    record = run(spec, trainer=CPU, log=LogTo(("tensorboard",), tmp_path))
    check(tensorboard(tmp_path / "tensorboard" / spec.digest), record)


def test_a_run_that_trains_nothing_logs_its_accuracy(backbone_folder: Path, tmp_path: Path) -> None:
    spec = make(backbone_folder, method=ZERO_SHOT)
    record = run(spec, trainer=CPU, log=LogTo(("tensorboard",), tmp_path))
    scalars = tensorboard(tmp_path / "tensorboard" / spec.digest)
    assert scalars["accuracy/median"] == pytest.approx({0: median_accuracy(record.accuracy)})
    assert not [name for name in scalars if name.startswith("loss")]


def test_a_training_that_is_taken_up_again_logs_each_step_once(backbone_folder: Path, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(stage: str, share: float) -> None:
        if stage == "training" and share > 0.8:  # in step 5, after the state of step 4 was kept
            raise Killed

    specs = [make(backbone_folder)]
    log = LogTo(("tensorboard",), tmp_path)
    with pytest.raises(Killed):
        run_group(specs, progress=kill, trainer=CPU, checkpoint=Checkpoint(tmp_path, specs, 2), log=log)
    folder = tmp_path / "tensorboard" / specs[0].digest
    before = tensorboard(folder)
    assert max(before["loss/total"]) == 4
    checkpoint = Checkpoint(tmp_path, specs, 2)
    assert checkpoint.step == 4
    (record,) = run_group(specs, trainer=CPU, checkpoint=checkpoint, log=log)
    scalars = tensorboard(folder)
    check(scalars, record)
    assert len(list(folder.glob("events.*"))) == 2

    # Done anew from its beginning, it is shown as from its beginning.
    run_group(specs, trainer=CPU, log=log)
    check(tensorboard(folder), record)


def test_pre_training_logs_too(backbone_folder: Path, tmp_path: Path) -> None:
    from tfew_pl.pretraining import pretrain, pretraining_recipe

    texts = [(f"is it {number} or is it not", "it is so") for number in range(100)]
    recipe = pretraining_recipe(STEPS, batch_size=2)
    log = LogTo(("tensorboard",), tmp_path)
    plain = pretrain("ia3", str(backbone_folder), lambda: texts, recipe, trainer=CPU)
    assert pretrain("ia3", str(backbone_folder), lambda: texts, recipe, trainer=CPU, log=log) == plain
    (folder,) = (tmp_path / "tensorboard").iterdir()
    scalars = tensorboard(folder)
    assert set(scalars) == {"loss/lm", "loss/total", "gradient_norm", "learning_rate"}
    assert list(scalars["loss/lm"]) == list(range(1, STEPS + 1))
    assert scalars["loss/lm"] == scalars["loss/total"]
    assert yaml.safe_load((folder / "hparams.yaml").read_text())["method"] == "ia3"

    # Taken up again at the step of Lightning's checkpoint.
    kept = tmp_path / "kept"
    keywords: dict[str, Any] = {"trainer": CPU, "checkpoint": kept, "every": 4, "mixture": "m", "log": log}
    pretrain("ia3", str(backbone_folder), lambda: texts, recipe, **keywords)
    pretrain("ia3", str(backbone_folder), lambda: texts, recipe, **keywords)
    (second,) = (path for path in (tmp_path / "tensorboard").iterdir() if path != folder)
    assert list(tensorboard(second)["loss/lm"]) == list(range(1, STEPS + 1))


def test_mlflow(backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    specs = [make(backbone_folder, seed) for seed in (0, 1)]
    log = LogTo(("mlflow",), tmp_path)
    log.check()
    records = run_group(specs, trainer=CPU, log=log)
    assert_same(run_group(specs, trainer=CPU), records)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    client = mlflow.MlflowClient((tmp_path / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("tfew_pl")
    found = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    assert set(found) == {spec.digest for spec in specs}
    for record in records:
        one = found[record.spec.digest]
        assert one.info.status == "FINISHED"
        assert one.data.params["seed"] == str(record.spec.seed)
        scalars = {
            name: {point.step: point.value for point in client.get_metric_history(one.info.run_id, name)}
            for name in one.data.metrics
        }
        check(scalars, record)


def wandb_records(path: Path) -> Iterator[Any]:
    """The entries of an offline run's file: LevelDB's log format behind a header of 7 bytes.

    A block of 32 KiB holds pieces, each its checksum (4 bytes), length (2) and place in its entry (1: whole; 2, 3 and
    4: first, middle and last part), then the data; what is left of a block has no room for a piece.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, entry = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        _, length, kind = struct.unpack_from("<IHB", content, place)
        entry += content[place + 7 : place + 7 + length]
        place += 7 + length
        if place % 32768 > 32768 - 7:
            place += -place % 32768
        if kind in (1, 4):
            yield Record.FromString(entry)
            entry = b""


def test_wandb_offline(backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    specs = [make(backbone_folder, seed) for seed in (0, 1)]
    records = run_group(specs, trainer=CPU, log=LogTo(("wandb",), tmp_path))
    assert_same(run_group(specs, trainer=CPU), records)
    for record in records:
        digest = record.spec.digest
        (path,) = (tmp_path / "wandb").glob(f"offline-run-*-{digest}/run-{digest}.wandb")
        scalars: Scalars = {}
        said: dict[str, Any] = {}
        for entry in wandb_records(path):
            match entry.WhichOneof("record_type"):
                case "run":
                    said |= {"name": entry.run.display_name, "project": entry.run.project}
                    said |= {item.key: json.loads(item.value_json) for item in entry.run.config.update}
                case "config":
                    said |= {item.key: json.loads(item.value_json) for item in entry.config.update}
                case "exit":
                    said["exit"] = entry.exit.exit_code
                case "history":
                    row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in entry.history.item}
                    for name, value in row.items():
                        scalars.setdefault(name, {})[row["trainer/global_step"]] = value
        check(scalars, record)
        expected = {"name": digest, "project": "tfew_pl", "exit": 0, "seed": record.spec.seed}
        assert {key: said[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensorbord", "tensorboard"),
        ("wandb", "--logger wandb needs the package wandb: pip install 'tfew_pl\\[wandb\\]'"),
    ],
)
def test_what_is_unknown_or_not_installed_is_said_before_anything_is_loaded(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfew_pl.loggers.importlib.util.find_spec", lambda package: None)
    with pytest.raises(UserError, match=message):
        LogTo((name,), tmp_path).check()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_is_closed_as_failed(
    backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_lightning.loggers import TensorBoardLogger

    ended: list[str] = []
    monkeypatch.setattr(TensorBoardLogger, "finalize", lambda self, status: ended.append(status))
    nan = torch.tensor([float("nan")], requires_grad=True)
    monkeypatch.setattr("tfew_pl.losses.lm_loss", lambda *_, **__: nan * 1)
    with pytest.raises(UserError, match="not a number"):
        run(make(backbone_folder), trainer=CPU, log=LogTo(("tensorboard",), tmp_path))
    assert ended == ["failed"]
