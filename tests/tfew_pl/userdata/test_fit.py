"""Training and predicting a user's task: folds and tasks side by side give what each gives alone."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from transformers import AutoTokenizer, T5ForConditionalGeneration

from tfew_pl import backbones
from tfew_pl.encoding import PromptEncoder
from tfew_pl.errors import UserError
from tfew_pl.tasks.task import Row
from tfew_pl.userdata import fit as fit_module
from tfew_pl.userdata.fit import POCKET_STEPS, fit, fit_spec
from tfew_pl.userdata.fitted import Fitted
from tfew_pl.userdata.merge import merge
from tfew_pl.userdata.predictions import best, probabilities
from tfew_pl.userdata.predictor import predicting
from tfew_pl.userdata.task import TextTask, define

CPU = {"accelerator": "cpu"}
WORDS = ("cat", "dog", "bird", "fish", "cow", "hen", "fox")


def examples(labels: str = "ab", count: int = 7) -> tuple[TextTask, list[Row]]:
    """Rows of different lengths, labeled in turn."""
    own = [labels[i % len(labels)] for i in range(count)]
    task = define("animals", ["text"], own, text="text", label="label", where="here")
    texts = [f"the {WORDS[i % 7]} " + "and so on " * (i % 3) for i in range(count)]
    return task, [task.row({"text": text}, "here", label) for text, label in zip(texts, own, strict=True)]


@pytest.fixture(autouse=True)
def _tiny(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.ALIASES, "tiny", backbones.Alias("random", str(backbone_folder)))


def scores(fitted: Fitted, rows: list[Row]) -> list[list[float]]:
    with predicting({"it": fitted}) as predictor:
        return predictor.scores([(0, row) for row in rows])


def tensors_of(fitted: Fitted) -> dict[str, torch.Tensor]:
    return load(fitted.adaptation)


@pytest.fixture(scope="module")
def make_fit(backbone_folder: Path) -> Callable[..., Fitted]:
    made: dict[Any, Fitted] = {}

    def make(method: str = "ia3", seed: int = 42, labels: str = "ab", **options: Any) -> Fitted:
        key = (method, seed, labels, *sorted(options.items()))
        if key not in made:
            task, rows = examples(labels)
            spec = fit_spec(task.name, backbone=str(backbone_folder), method=method, seed=seed, steps=4)
            made[key] = fit(task, rows, spec, trainer=CPU, **{"folds": 0, **options})
        return made[key]

    return make


@pytest.mark.parametrize("method", ["ia3", "lora"])
def test_the_folds_do_not_change_what_is_trained_on_all_rows(method: str, make_fit: Callable[..., Fitted]) -> None:
    """Which may begin with something drawn."""
    alone, beside = make_fit(method), make_fit(method, folds=3)
    assert alone.held_out is None
    for name, tensor in tensors_of(alone).items():
        torch.testing.assert_close(tensors_of(beside)[name], tensor, atol=1e-5, rtol=1e-5)
    assert any((tensor != 1).any() for tensor in tensors_of(alone).values())


@pytest.mark.parametrize("method", ["ia3", "full"])
def test_every_row_is_predicted_by_a_training_that_left_it_out(
    method: str, make_fit: Callable[..., Fitted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The held-out predictions are those of trainings on the other folds, each done by itself."""
    found = make_fit(method, folds=3).held_out
    task, rows = examples()
    parts = fit_module.stratified_folds([task.label(row) for row in rows], 3, 42)
    right = 0
    for part in parts:
        others = [row for i, row in enumerate(rows) if i not in part]
        spec = dataclasses.replace(make_fit(method).spec, shots=None)
        right += sum(
            best(values) == task.label(rows[i])
            for i, values in zip(
                part, scores(fit(task, others, spec, folds=0, trainer=CPU), [rows[i] for i in part]), strict=True
            )
        )
    assert found is not None
    assert (found.right, found.rows, found.folds, found.most_frequent) == (right, 7, 3, 4 / 7)


def test_a_test_table_is_what_accuracy_is_measured_on(make_fit: Callable[..., Fitted]) -> None:
    task, rows = examples(count=12)
    fitted = make_fit(folds=0)
    measured = fit(task, examples()[1], dataclasses.replace(fitted.spec, shots=None), test=rows, trainer=CPU).held_out
    right = sum(best(values) == task.label(row) for row, values in zip(rows, scores(fitted, rows), strict=True))
    assert measured is not None
    assert (measured.right, measured.rows, measured.folds, measured.most_frequent) == (right, 12, 0, 0.5)


@pytest.mark.parametrize("method", ["ia3", "lora", "prefix-tuning", "prompt-tuning-10"])
def test_tasks_in_one_batch_are_scored_as_each_alone(method: str, make_fit: Callable[..., Fitted]) -> None:
    fits = {
        "one": make_fit(method),
        "two": make_fit(method, seed=1),
        "three": make_fit(method, labels="abc"),
    }
    tasks = [one.task for one in fits.values()]
    rows = [(i % 3, tasks[i % 3].row({"text": f"the {WORDS[i % 7]} " * (i % 4 + 1)}, "here")) for i in range(12)]
    with predicting(fits) as predictor:
        mixed = predictor.scores(rows)
    assert [len(values) for values in mixed] == [2, 2, 3] * 4
    for number, one in enumerate(fits.values()):
        own = [row for task, row in rows if task == number]
        torch.testing.assert_close(torch.tensor(mixed[number::3]), torch.tensor(scores(one, own)), atol=1e-5, rtol=1e-5)
    assert mixed[0] != mixed[1][: len(mixed[0])]


@pytest.mark.parametrize("method", ["ia3", "full", "fish-mask-0.2"])
def test_a_saved_fit_predicts_the_same(method: str, make_fit: Callable[..., Fitted], tmp_path: Path) -> None:
    fitted = make_fit(method)
    fitted.save(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["adaptation.safetensors", "fit.json"]
    loaded = Fitted.load(tmp_path / "saved")
    assert loaded == dataclasses.replace(fitted, spec=loaded.spec)
    assert loaded.spec.digest == fitted.spec.digest
    assert scores(loaded, examples()[1]) == scores(fitted, examples()[1])


def test_overwriting_replaces_all(make_fit: Callable[..., Fitted], tmp_path: Path) -> None:
    target = tmp_path / "saved"
    make_fit().save(target)
    (target / "note.txt").write_text("old")
    with pytest.raises(UserError, match="it is there already"):
        make_fit(seed=1).save(target)
    assert (target / "note.txt").is_file()
    make_fit(seed=1).save(target, overwrite=True)
    assert not (target / "note.txt").exists()
    assert Fitted.load(target).spec.seed == 1
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize("kind", ["folder", "file", "empty folder"])
def test_only_a_fit_is_overwritten(make_fit: Callable[..., Fitted], tmp_path: Path, kind: str) -> None:
    target = tmp_path / "data"
    if kind == "file":
        target.write_text("precious")
    else:
        target.mkdir()
        if kind == "folder":
            (target / "train.csv").write_text("precious")
    before = {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")}
    with pytest.raises(UserError, match="nothing else is overwritten"):
        make_fit().save(target, overwrite=True)
    assert {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")} == before


def test_rows_of_one_question_are_left_out_together(make_fit: Callable[..., Fitted]) -> None:
    task, rows = examples()
    spec = make_fit().spec
    seen = fit_module._parts([task.label(row) for row in rows * 3], [(i,) for i in range(len(rows))] * 3, 0, 4, 1)
    assert len(seen) == 5
    for part in seen[:-1]:
        held_out = {i % len(rows) for i in part.held_out}
        assert held_out
        assert not held_out & {i % len(rows) for i in part.trained}
    assert fit(task, rows[:1] * 3 + rows[1:2] * 3, spec, folds=4, trainer=CPU).held_out.folds == 2


def test_merged_it_is_a_plain_model_with_the_same_scores(
    make_fit: Callable[..., Fitted], plain_scores: Any, tmp_path: Path
) -> None:
    fitted, (task, rows) = make_fit(), examples()
    kept = backbones.load_backbone(fitted.spec.backbone).model
    before = {name: value.clone() for name, value in kept.state_dict().items()}
    merge(fitted, tmp_path / "merged")
    assert all(torch.equal(kept.state_dict()[name], value) for name, value in before.items())
    model = T5ForConditionalGeneration.from_pretrained(tmp_path / "merged").eval()
    encoder = PromptEncoder(task, task.templates(), AutoTokenizer.from_pretrained(tmp_path / "merged"))
    with torch.no_grad():
        for number, expected in enumerate(scores(fitted, rows)):
            example = encoder.encode(rows[number], number, 0, None)  # type: ignore[arg-type]
            found = [float(plain_scores(model, example.input_ids, choice).mean()) for choice in example.choices]
            assert found == pytest.approx(expected, abs=1e-4)


def test_probabilities() -> None:
    assert probabilities([0.0, 0.0]) == [0.5, 0.5]
    assert sum(probabilities([-1000.0, -1001.0, -999.0])) == pytest.approx(1)


def test_the_steps_are_the_recipes_but_on_a_pocket_backbone(backbone_folder: Path) -> None:
    assert fit_spec("t").recipe.steps == POCKET_STEPS
    assert fit_spec("t", backbone=str(backbone_folder)).recipe.steps == 1000
    assert fit_spec("t", backbone=str(backbone_folder), method="fish-mask-0.2").recipe.steps == 1500
    assert fit_spec("t", steps=7).recipe.steps == 7


def test_it_starts_from_pretrained_vectors_where_there_are_some(backbone_folder: Path) -> None:
    ours, other = fit_spec("t"), fit_spec("t", backbone=str(backbone_folder))
    assert (ours.recipe.pretrained, bool(ours.revisions.initial)) == (True, True)
    assert (other.recipe.pretrained, other.revisions.initial) == (False, "")
