"""The held-out and the RAFT datasets as the hub keeps them: its files' names, columns and feature types, our sentences.

The tree stands where the hub's client keeps what it has downloaded, so that everything is read as after a download.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pytest
from datasets import ClassLabel, Features, List, Value

from tfew_pl.pocket import heldout, raft
from tfew_pl.pocket.heldout import rows
from tfew_pl.tasks import RAFT_TASKS
from tfew_pl.tasks.data import load_data

TRAIN, EVALUATION = 80, 6
STORY_HEADINGS = {
    "story_id": "InputStoryid",
    **{f"input_sentence_{number}": f"InputSentence{number}" for number in range(1, 5)},
    "sentence_quiz1": "RandomFifthSentenceQuiz1",
    "sentence_quiz2": "RandomFifthSentenceQuiz2",
    "answer_right_ending": "AnswerRightEnding",
}
STORY_FILES = {
    "train": "cloze_test_val__spring2016 - cloze_test_ALL_val.csv",
    "evaluation": "cloze_test_test__spring2016 - cloze_test_ALL_test.csv",
}


def _features(texts: str, numbers: str = "", **others: Any) -> Features:
    return Features(
        {name: Value("string") for name in texts.split()} | {name: Value("int32") for name in numbers.split()} | others
    )


class Repository(NamedTuple):
    """A dataset on the hub: its commit, and by task the files of the two splits and their features."""

    commit: str
    tasks: dict[str, tuple[str, str, Features]]
    branch: str | None = None
    """That is read, where no commit is pinned."""


_PAIR = "premise hypothesis"
_SENSES = ClassLabel(names=["False", "True"])
_ANLI = _features(f"uid {_PAIR} reason", label=ClassLabel(names=["entailment", "neutral", "contradiction"]))


def _files(folder: str, train: str = "train", evaluation: str = "validation") -> tuple[str, str]:
    return tuple(f"{folder}/{split}-00000-of-00001.parquet" for split in (train, evaluation))  # type: ignore[return-value]


REPOSITORIES = {
    "aps/super_glue": Repository(
        "3de24cf8022e94f4ee4b9d55a6f539891524d646",
        {
            "copa": (
                *_files("copa"),
                _features("premise choice1 choice2 question", "idx", label=ClassLabel(names=["choice1", "choice2"])),
            ),
            "cb": (
                *_files("cb"),
                _features(_PAIR, "idx", label=ClassLabel(names=["entailment", "contradiction", "neutral"])),
            ),
            "rte": (
                *_files("rte"),
                _features(_PAIR, "idx", label=ClassLabel(names=["entailment", "not_entailment"])),
            ),
            "wic": (
                *_files("wic"),
                _features("word sentence1 sentence2", "start1 start2 end1 end2 idx", label=_SENSES),
            ),
            "wsc": (
                *_files("wsc.fixed"),
                _features("text span1_text span2_text", "span1_index span2_index idx", label=_SENSES),
            ),
        },
    ),
    "facebook/anli": Repository(
        "8e4813d81f46d313dac7892e1c28076917cfcdf9",
        {f"anli_r{n}": (*_files("plain_text", f"train_r{n}", f"test_r{n}"), _ANLI) for n in (1, 2, 3)},
    ),
    "Rowan/hellaswag": Repository(
        "218ec52e09a7e7462a5400043bb9a69a41d06b76",
        {
            "hellaswag": (
                *_files("data"),
                _features(
                    "activity_label ctx_a ctx_b ctx source_id split split_type label",
                    "ind",
                    endings=List(Value("string")),
                ),
            )
        },
    ),
    "allenai/winogrande": Repository(
        "01e74176c63542e6b0bcb004dcdea22d94fb67b5",
        {"winogrande": (*_files("winogrande_xl"), _features("sentence option1 option2 answer"))},
    ),
    "ought/raft": Repository(
        "0123456789abcdef0123456789abcdef01234567",
        {
            name: (
                f"{name}/train/0000.parquet",
                f"{name}/test/0000.parquet",
                Features(
                    {column: Value("string") for column in task.columns}
                    | {"ID": Value("int32"), "Label": ClassLabel(names=["Unlabeled", *task.labels])}
                ),
            )
            for name, task in RAFT_TASKS.items()
        },
        branch="refs/convert/parquet",
    ),
}


def _rows(task: str, split: str) -> list[dict[str, Any]]:
    """Our sentences; of RAFT's test the hub has no labels."""
    if task not in RAFT_TASKS:
        return heldout.rows(task, split)  # type: ignore[arg-type]
    found = raft.rows(task, split)  # type: ignore[arg-type]
    return found if split == "train" else [row | {"Label": 0} for row in found]


def _write(path: Path, content: list[dict[str, Any]], features: Features) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(content, features=features).to_parquet(path)


def write_hub_cache(cache: Path) -> None:
    """Writes every repository as the hub's client has it after a download."""
    for id_, (commit, tasks, branch) in REPOSITORIES.items():
        snapshot = cache / f"datasets--{id_.replace('/', '--')}" / "snapshots" / commit
        if branch is not None:
            (snapshot.parents[1] / "refs" / branch).parent.mkdir(parents=True)
            (snapshot.parents[1] / "refs" / branch).write_text(commit)
        for task, (train, evaluation, features) in tasks.items():
            _write(snapshot / train, _rows(task, "train")[:TRAIN], features)
            _write(snapshot / evaluation, _rows(task, "evaluation")[:EVALUATION], features)
            if isinstance(features.get("label"), ClassLabel) and "anli" not in task:
                hidden = [row | {"label": -1} for row in rows(task, "evaluation")[:EVALUATION]]
                _write(snapshot / Path(train).with_name("test-00000-of-00001.parquet"), hidden, features)


def write_story_cloze(folder: Path) -> None:
    """Writes Story Cloze as its authors give it out."""
    (folder / "story_cloze").mkdir(parents=True)
    for split, count in (("train", TRAIN), ("evaluation", EVALUATION)):
        with (folder / "story_cloze" / STORY_FILES[split]).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(STORY_HEADINGS.values()))
            writer.writeheader()
            for row in rows("story_cloze", split)[:count]:  # type: ignore[arg-type]
                writer.writerow({STORY_HEADINGS[field]: value for field, value in row.items()})


@pytest.fixture(scope="session")
def hub_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cache`, the hub client's, and `data`, a user's with Story Cloze."""
    folder = tmp_path_factory.mktemp("hub")
    write_hub_cache(folder / "cache")
    write_story_cloze(folder / "data")
    return folder


@pytest.fixture
def downloaded(hub_tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Has the hub's client find the datasets; gives the user's folder with Story Cloze."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub_tree / "cache"))
    load_data.cache_clear()
    yield hub_tree / "data"
    load_data.cache_clear()
