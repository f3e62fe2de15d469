"""The RAFT datasets in the hub's layout, through the code that reads a download; and what is special in their runs."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tfew_pl.errors import UserError
from tfew_pl.pocket import raft
from tfew_pl.recipe import Recipe
from tfew_pl.run import run
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec
from tfew_pl.store import RunStore
from tfew_pl.tasks import RAFT_TASKS, get_task
from tfew_pl.tasks.data import load_data

CPU = {"accelerator": "cpu"}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    load_data.cache_clear()
    yield
    load_data.cache_clear()


@pytest.mark.parametrize("name", RAFT_TASKS)
def test_every_row_arrives_and_is_rendered(name: str, downloaded: Path) -> None:
    data = load_data(name, "hub")
    expected: Any = raft.rows(name, "train")
    assert data.train == expected
    assert [row["ID"] for row in data.evaluation] == list(range(50, 56))
    (template,) = get_task(name).templates()
    for row in data.train:
        prompt = template.render(row, random.Random(0))
        assert prompt is not None
        assert prompt.choices is not None
        assert prompt.choices[row["Label"] - 1] == prompt.target
    for row in data.evaluation:
        prompt = template.render(row, random.Random(0))
        assert prompt is not None
        assert prompt.target == "Unlabeled"


@pytest.mark.parametrize(
    ("name", "variant"),
    [*((name, "paper") for name in RAFT_TASKS), ("banking_77", "release"), ("tai_safety_research", "release")],
)
def test_a_step_of_training_and_unlabeled_predictions(
    name: str, variant: str, downloaded: Path, backbone_folder: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {} if variant == "paper" else {"variant": variant}
    recipe = Recipe(steps=1, pretrained=False, **get_task(name).configured("hub", options).recipe)
    spec = RunSpec(name, str(backbone_folder), recipe=recipe, data="hub", task_options=options)
    record = run(spec, trainer=CPU)
    assert record.accuracy == {}
    assert (record.predictions["gold"] == -1).all()
    assert len(record.predictions) == 6
    assert record.predictions["predicted"].between(0, RAFT_TASKS[name].choices - 1).all()
    store = RunStore(tmp_path)
    store.save(record)
    assert store.load(record.spec).predictions.to_dict("list") == record.predictions.to_dict("list")
    noted = record.losses.iloc[0]
    off = {loss for loss in ("lm", "unlikelihood", "length_norm") if noted[loss] != noted[loss]}
    banking = {"paper": {"unlikelihood"}, "release": {"unlikelihood", "length_norm"}}
    assert off == (banking[variant] if name == "banking_77" else set())


def test_training_examples_must_have_labels(downloaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled = [row | {"Label": 0} if row["ID"] == 7 else row for row in raft.rows("overruling", "train")]
    monkeypatch.setattr(raft, "rows", lambda _task, _split: spoiled)
    with pytest.raises(UserError, match="task overruling: training example 7 from pocket has no label"):
        load_data("overruling", "pocket")


def test_another_class_is_refused(downloaded: Path, tmp_path: Path) -> None:
    (tmp_path / "overruling").mkdir()
    for split in ("train", "test"):
        (tmp_path / "overruling" / f"{split}.csv").write_text("Sentence,ID,Label\nx,0,overuling\n")
    with pytest.raises(UserError, match=r"row 1: Label is 'overuling', expected one of 0 \(Unlabeled\), 1 \(not over"):
        load_data("overruling", str(tmp_path))


def test_a_test_file_needs_no_column_of_labels(tmp_path: Path) -> None:
    (tmp_path / "overruling").mkdir()
    (tmp_path / "overruling" / "train.csv").write_text("Sentence,ID,Label\nx,0,overruling\n")
    test = tmp_path / "overruling" / "test.csv"
    test.write_text("Sentence,ID\ny,50\n")
    assert load_data("overruling", str(tmp_path)).evaluation == [{"Sentence": "y", "ID": 50, "Label": 0}]
    (tmp_path / "overruling" / "train.csv").write_text("Sentence,ID\nx,0\n")
    load_data.cache_clear()
    with pytest.raises(UserError, match=r"train.csv lacks Label; it has Sentence, ID"):
        load_data("overruling", str(tmp_path))


def test_each_training_example_is_left_out_once(backbone_folder: Path) -> None:
    """As the release cuts them: ten of fifty at a time, in the dataset's order."""
    train = raft.rows("overruling", "train")
    seen = []
    for fold in range(5):
        spec = RunSpec("overruling", str(backbone_folder), method=ZERO_SHOT, evaluation=Evaluation(fold=fold))
        record = run(spec, trainer=CPU)
        assert len(record.accuracy) == 1
        seen += [int(gold) for gold in record.predictions["gold"]]
    assert seen == [row["Label"] - 1 for row in train]
