import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tfew_pl import run as run_module
from tfew_pl.adaptation_file import backbone_digest, load_into, to_bytes
from tfew_pl.backbones import load_backbone
from tfew_pl.errors import UserError
from tfew_pl.ia3 import IA3
from tfew_pl.recipe import RECIPES, Recipe, without
from tfew_pl.record import RunRecord
from tfew_pl.run import run
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.store import RunStore
from tfew_pl.tasks import get_task
from tfew_pl.tasks.data import load_data

FEW = Evaluation(examples=5, templates=2)
TWELVE = Recipe(steps=12, pretrained=False)
CPU = {"accelerator": "cpu"}


@pytest.fixture
def spec(backbone_folder: Path) -> RunSpec:
    return RunSpec("rte", backbone=str(backbone_folder), recipe=TWELVE, evaluation=FEW, shots=6)


@pytest.fixture(autouse=True)
def _backbone_is_left_as_it_was(backbone_folder: Path) -> Iterator[None]:
    model = load_backbone(str(backbone_folder)).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    yield
    assert load_backbone(str(backbone_folder)).model is model
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def _same(first: RunRecord, second: RunRecord) -> None:
    for field in dataclasses.fields(RunRecord):
        one, two = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(one, two, check_exact=True)
        elif field.name == "costs":
            timings = {"training_seconds": 0.0, "evaluation_seconds": 0.0, "peak_memory_bytes": 0}
            assert dataclasses.replace(one, **timings) == dataclasses.replace(two, **timings)
        else:
            assert one == two, field.name


def _check_predictions(record: RunRecord, templates: int = 2, examples: int = 5) -> None:
    table = record.predictions
    pairs = list(zip(table["template"], table["example"], strict=True))
    assert pairs == [(t, e) for t in range(templates) for e in range(examples)]
    task = get_task("rte")
    gold = [task.label(row) for row in load_data("rte", "pocket").evaluation[:examples]]
    assert table["gold"].tolist() == gold * templates
    names = [t.name for t in task.templates()][:templates]
    assert list(record.accuracy) == names
    for number, name in enumerate(names):
        part = table[table["template"] == number]
        right = sum(g == p for g, p in zip(part["gold"], part["predicted"], strict=True))
        assert record.accuracy[name] == pytest.approx(right / examples)


def test_ia3_twice_gives_equal_records(spec: RunSpec, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = run(spec, trainer=CPU)
    torch.manual_seed(2)
    second = run(spec, trainer=CPU)
    _same(first, second)
    _check_predictions(first)
    assert first.losses["step"].tolist() == list(range(1, 13))
    assert first.spec.revisions.backbone
    assert first.spec.digest != spec.digest, "an unresolved spec is not yet the run's identity"
    weights = {"digest": backbone_digest(load_backbone(spec.backbone).model), "dtype": "float32"}
    assert (first.environment["precision"], first.environment["backbone"]) == ("32-true", weights)

    costs = first.costs
    # l_k and l_v of 2 + 2 + 2 attentions of 3 x 8, l_ff of 4 blocks of 32.
    assert costs.trained_parameters == 6 * 2 * 24 + 4 * 32
    assert costs.stored_bytes == 4 * costs.trained_parameters
    assert costs.training_flops == 3 * costs.parameters * costs.input_tokens * 12 * 8
    assert costs.inference_flops == costs.parameters * costs.input_tokens
    assert costs.shots == 0
    assert first.adaptation is not None
    assert costs.measured_stored_bytes == len(first.adaptation)
    assert costs.measured_training_flops > costs.measured_inference_flops > 0

    path = tmp_path / "vectors.safetensors"
    path.write_bytes(first.adaptation)
    model = load_backbone(spec.backbone).model
    adaptation = IA3().attach(model, generator=torch.Generator())
    load_into(adaptation, path, "ia3", backbone_digest(model))
    assert all((p != 1).any() for p in adaptation.parameters())
    adaptation.detach()

    store = RunStore(tmp_path / "store")
    store.save(first)
    assert first.spec in store
    assert store.load(first.spec).accuracy == first.accuracy


def test_seeds_differ(spec: RunSpec) -> None:
    first, second = (run(dataclasses.replace(spec, seed=seed), trainer=CPU) for seed in (42, 1024))
    assert first.adaptation != second.adaptation


def test_zero_shot(spec: RunSpec) -> None:
    told: list[tuple[str, float]] = []
    record = run(dataclasses.replace(spec, method="zero-shot"), trainer=CPU,
                 progress=lambda stage, share: told.append((stage, share)))  # fmt: skip
    _check_predictions(record)
    assert record.adaptation is None
    assert len(record.losses) == 0
    assert (record.costs.training_flops, record.costs.stored_bytes, record.costs.trained_parameters) == (0, 0, 0)
    assert (record.costs.measured_training_flops, record.costs.measured_stored_bytes) == (0, 0)
    assert {stage for stage, _ in told} == {"evaluation"}


def test_in_context(spec: RunSpec) -> None:
    record = run(dataclasses.replace(spec, method="in-context", shots=3), trainer=CPU)
    _check_predictions(record)
    costs = record.costs
    assert record.adaptation is None
    assert costs.shots == 3
    assert costs.inference_flops > 2 * costs.parameters * costs.input_tokens
    assert costs.training_flops == 0
    assert costs.stored_bytes > 0
    _same(record, run(dataclasses.replace(spec, method="in-context", shots=3), trainer=CPU))


def test_progress_is_reported(spec: RunSpec) -> None:
    told: list[tuple[str, float]] = []
    run(spec, trainer=CPU, progress=lambda stage, share: told.append((stage, share)))
    training = [share for stage, share in told if stage == "training"]
    assert training == pytest.approx([step / 12 for step in range(1, 13)])
    evaluation = [share for stage, share in told if stage == "evaluation"]
    assert evaluation == sorted(evaluation)
    assert evaluation[-1] == 1
    assert [stage for stage, _ in told] == sorted((stage for stage, _ in told), reverse=True)


@pytest.mark.parametrize("ingredient", ["unlikelihood", "length-norm", "length-normalized-ranking", "warmup"])
def test_an_ablation_runs(ingredient: str, spec: RunSpec) -> None:
    recipe = without(dataclasses.replace(TWELVE, steps=2), ingredient)
    _check_predictions(run(dataclasses.replace(spec, recipe=recipe), trainer=CPU))


def test_release_recipe_runs_with_dropout_and_leaves_evaluation_mode(spec: RunSpec) -> None:
    recipe = dataclasses.replace(RECIPES["release"], steps=3, pretrained=False)
    run(dataclasses.replace(spec, recipe=recipe), trainer=CPU)
    model = load_backbone(spec.backbone).model
    assert not any(module.training for module in model.modules())


def test_accumulated_micro_batches_give_a_like_record(spec: RunSpec) -> None:
    divided = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, accumulate=2))
    record = run(divided, trainer=CPU)
    _check_predictions(record)
    assert record.spec.recipe.accumulate == 2
    assert record.spec.digest != run(spec, trainer=CPU).spec.digest


def test_nan_loss_ends_the_training_at_once(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [1.0, 1.0, 1.0, float("nan")]  # the first counts FLOPs
    monkeypatch.setattr(
        "tfew_pl.losses.lm_loss", lambda *_, **__: torch.tensor([losses.pop(0)], requires_grad=True) * 1
    )
    with pytest.raises(UserError, match=r"^ia3 on rte, seed 42.*: a loss is not a number after step 3; try"):
        run(spec, trainer=CPU)
    assert losses == [], "of twelve steps, three were made"


def test_a_start_made_for_another_backbone_is_refused_and_detached(spec: RunSpec, tmp_path: Path) -> None:
    model = load_backbone(spec.backbone).model
    adaptation = IA3().attach(model, generator=torch.Generator())
    path = tmp_path / "other.safetensors"
    path.write_bytes(to_bytes(adaptation, "ia3", "fedcba9876543210"))
    adaptation.detach()
    with pytest.raises(UserError, match="made for backbone fedcba9876543210"):
        run(dataclasses.replace(spec, recipe=Recipe(steps=1), initial=str(path)))


def test_spec_that_cannot_be_run(spec: RunSpec) -> None:
    with pytest.raises(UserError, match="unknown task"):
        run(dataclasses.replace(spec, task="nothing"))


def test_bfloat16(spec: RunSpec) -> None:
    record = run(dataclasses.replace(spec, precision="bf16", recipe=Recipe(steps=2, pretrained=False)), trainer=CPU)
    _check_predictions(record)
    assert load_backbone(spec.backbone).model.dtype == torch.float32


_T0 = Path(run_module.__file__).parent / "pocket" / "checkpoints" / "pocket-t0" / "model.safetensors"


@pytest.mark.skipif(not _T0.is_file(), reason="the pocket checkpoints are not there yet")
@pytest.mark.parametrize("method", ["zero-shot", "ia3"])
def test_shipped_backbone(method: str) -> None:
    recipe = Recipe(steps=3, pretrained=False)
    record: Any = run(RunSpec("rte", method=method, recipe=recipe, evaluation=FEW), trainer=CPU)
    _check_predictions(record)
    assert record.costs.parameters > 1_000_000
