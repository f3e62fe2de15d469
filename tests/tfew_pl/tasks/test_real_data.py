"""The real datasets' layouts, schemas and types, through the code that reads a download."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from tfew_pl.errors import UserError
from tfew_pl.pocket.heldout import rows
from tfew_pl.recipe import Recipe
from tfew_pl.resolve import resolve
from tfew_pl.run import run
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.tasks import TASKS, get_task
from tfew_pl.tasks.data import load_data

TRAIN, EVALUATION = 80, 6


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    load_data.cache_clear()
    yield
    load_data.cache_clear()


def source(task: str, folder: Path) -> str:
    return str(folder) if get_task(task).hub.by_hand else "hub"


@pytest.mark.parametrize("name", TASKS)
def test_every_row_arrives_with_the_fields_and_types_of_the_task(name: str, downloaded: Path) -> None:
    task, data = get_task(name), load_data(name, source(name, downloaded))
    for found, split, count in ((data.train, "train", TRAIN), (data.evaluation, "evaluation", EVALUATION)):
        expected: Any = rows(name, split)[:count]  # type: ignore[arg-type]
        assert found == [{field: row[field] for field in task.fields} for row in expected]


@pytest.mark.parametrize("name", TASKS)
def test_every_template_renders_every_row(name: str, downloaded: Path) -> None:
    task, data = get_task(name), load_data(name, source(name, downloaded))
    for row in (*data.train, *data.evaluation):
        for template in task.templates():
            prompt = template.render(row, random.Random(0))
            assert prompt is not None
            assert prompt.choices is not None
            assert prompt.choices[task.label(row)] == prompt.target


@pytest.mark.parametrize("name", TASKS)
def test_a_step_of_training_and_an_evaluation(name: str, downloaded: Path, backbone_folder: Path) -> None:
    recipe = Recipe(steps=1, batch_size=4, pretrained=False)
    data = source(name, downloaded)
    spec = RunSpec(name, str(backbone_folder), recipe=recipe, data=data, evaluation=Evaluation(examples=2))
    record: Any = run(spec, trainer={"accelerator": "cpu"})
    templates = get_task(name).templates()
    assert list(record.accuracy) == [template.name for template in templates]
    assert len(record.predictions) == 2 * len(templates)
    assert record.losses[["lm", "unlikelihood", "length_norm"]].notna().all(axis=None)
    assert record.spec.revisions.data == load_data(name, data).fingerprint


def test_where_the_rows_come_from_is_no_part_of_a_run(downloaded: Path, backbone_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rte").mkdir()
    for split, count in (("train", TRAIN), ("evaluation", EVALUATION)):
        file = tmp_path / "rte" / f"{'train' if split == 'train' else 'validation'}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows("rte", split)[:count]))  # type: ignore[arg-type]
    specs = [
        resolve(RunSpec("rte", str(backbone_folder), method="zero-shot", data=data))
        for data in ("hub", str(tmp_path), "pocket")
    ]
    assert specs[0].digest == specs[1].digest != specs[2].digest


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", ["rte", "hellaswag", "wsc", "winogrande"])
def test_files_of_a_users_own(name: str, ending: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for split, place in (("train", "train"), ("evaluation", "validation")):
        content = rows(name, split)[:5]  # type: ignore[arg-type]
        file = folder / f"{place}.{ending}"
        if ending == "parquet":
            datasets.Dataset.from_list(content).to_parquet(file)
        elif ending == "jsonl":
            file.write_text("".join(json.dumps(row) + "\n" for row in content))
        else:
            with file.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, list(content[0]), delimiter="," if ending == "csv" else "\t")
                writer.writeheader()
                writer.writerows(
                    {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in content
                )
    data, task = load_data(name, str(tmp_path)), get_task(name)
    assert data.train == [{field: row[field] for field in task.fields} for row in rows(name, "train")[:5]]


def test_files_as_downloaded_by_the_hubs_own_tool(hub_tree: Path, tmp_path: Path) -> None:
    """`hf download --local-dir DIR/aps/super_glue`."""
    (tmp_path / "aps").mkdir()
    (snapshot,) = hub_tree.glob("cache/datasets--aps--super_glue/snapshots/*")
    (tmp_path / "aps" / "super_glue").symlink_to(snapshot)
    assert len(load_data("cb", str(tmp_path)).train) == TRAIN


def test_shards_are_read_in_order(hub_tree: Path, tmp_path: Path) -> None:
    (snapshot,) = hub_tree.glob("cache/datasets--aps--super_glue/snapshots/*")
    folder = tmp_path / "aps" / "super_glue" / "rte"
    folder.mkdir(parents=True)
    whole = datasets.Dataset.from_parquet(str(snapshot / "rte" / "train-00000-of-00001.parquet"))
    for number in range(2):
        part = whole.select(range(40 * number, 40 * (number + 1)))
        part.to_parquet(folder / f"train-0000{number}-of-00002.parquet")
    (folder / "validation-00000-of-00001.parquet").symlink_to(snapshot / "rte" / "validation-00000-of-00001.parquet")
    assert [row["premise"] for row in load_data("rte", str(tmp_path)).train] == whole["premise"]


def test_copies_of_a_file_are_not_read_as_one(tmp_path: Path) -> None:
    for name in ("cloze_test_val__spring2016 - a.csv", "cloze_test_val__spring2016 - a (1).csv"):
        write(tmp_path, "InputStoryid\n", f"story_cloze/{name}")
    with pytest.raises(UserError, match=r"has several files of one split, .* \(1\).csv, .*: leave one there"):
        load_data("story_cloze", str(tmp_path))


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "a,b,0\n\nc,d,1\n\n")
    write(tmp_path, HEAD + "a,b,0\n", "rte/validation.csv")
    assert [row["premise"] for row in load_data("rte", str(tmp_path)).train] == ["a", "c"]


def write(folder: Path, content: str | bytes, name: str = "rte/train.csv") -> None:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


HEAD = "premise,hypothesis,label\n"
EXPECTED = r"expected one of 0 \(entailment\), 1 \(not_entailment\)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("premise,label\na,0\n", r"train.csv lacks hypothesis; it has premise, label"),
        (HEAD + "a,b,0\na,b,maybe\n", rf"train.csv, row 2: label is 'maybe', {EXPECTED}"),
        (HEAD + "a,b,2\n", rf"row 1: label is '2', {EXPECTED}"),
        (HEAD + "a,b,-1\n", rf"row 1: label is '-1', {EXPECTED}; -1 marks a split without labels"),
        (HEAD + "a,b\n", r"train.csv, line 2: 2 values under 3 headings"),
        (HEAD + 'a,"b,0\n', r"train.csv, line 2: not readable \(unexpected end of data\)"),
        ("premise,premise,label\na,b,0\n", r"a heading stands twice in premise, premise, label"),
        ((HEAD + "caf\u00e9,b,0\n").encode("latin-1"), r"train.csv: not UTF-8 \(byte 28\)"),
        (HEAD, r"the training split from .* is empty"),
        ("", r"the training split from .* is empty"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_the_place(content: str | bytes, message: str, tmp_path: Path) -> None:
    write(tmp_path, content)
    write(tmp_path, HEAD + "a,b,0\n", "rte/validation.csv")
    with pytest.raises(UserError, match=message) as caught:
        load_data("rte", str(tmp_path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("task rte: ") or "train.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.parquet", "PAR1 no more", r"train.parquet: not a readable Parquet file"),
        ("train.jsonl", '{"premise": "a"\n', r"train.jsonl, line 1: not JSON"),
        ("train.jsonl", "[1, 2]\n", r"train.jsonl, line 1: expected an object, not \[1, 2\]"),
        (
            "train.jsonl",
            '{"premise": 7, "hypothesis": "b", "label": 0}\n',
            r"row 1: premise is 7, expected a text",
        ),
        (
            "train.jsonl",
            '{"premise": null, "hypothesis": "b", "label": 0}\n',
            r"row 1: premise is missing, expected a text",
        ),
    ],
)
def test_other_formats_that_do_not_fit(name: str, content: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, content, f"rte/{name}")
    with pytest.raises(UserError, match=message) as caught:
        load_data("rte", str(tmp_path))
    assert "\n" not in str(caught.value)


def test_endings_that_are_not_four(tmp_path: Path) -> None:
    row = dict(rows("hellaswag", "train")[0])
    write(tmp_path, json.dumps(row | {"endings": row["endings"][:3]}) + "\n", "hellaswag/train.jsonl")
    with pytest.raises(UserError, match=r"row 1: endings is \[.*expected a list of 4 texts"):
        load_data("hellaswag", str(tmp_path))


def test_what_is_not_there_is_one_message_with_what_to_do(downloaded: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"story_cloze: the hub does not give .*; ask its authors .* --data-root DIR"):
        load_data("story_cloze", "hub")
    with pytest.raises(UserError, match=r"does not give this dataset out \(nothing is in .*story_cloze\)"):
        load_data("story_cloze", str(tmp_path))
    with pytest.raises(UserError, match=r"--data nowhere: give 'pocket', 'hub' or a folder"):
        load_data("rte", "nowhere")


def test_a_folder_without_the_task_falls_back_to_the_hub(downloaded: Path) -> None:
    assert len(load_data("rte", str(downloaded)).train) == TRAIN
