"""`tfew fit` and `tfew predict` where all is well: what they say and what they write."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow import parquet

from experiments.commands import predict
from tfew_pl.userdata.fitted import Fitted
from tfew_pl.userdata.table import open_table

Tfew = Callable[..., Any]
TRAIN = "body,topic\nthe cat sat,0\nthe dog ran,1\nthe bird sang,0\nthe fish swam,1\nthe hen ran,1\n"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, backbone_folder: Path) -> Path:
    """A folder with two fits, `one` with whole numbers for labels and `two` with texts."""
    from tfew_pl.userdata.examples import read_training
    from tfew_pl.userdata.fit import fit, fit_spec

    folder = tmp_path_factory.mktemp("fits")
    for name, (low, high) in {"one": ("0", "1"), "two": ("dull", "fine")}.items():
        rows = [{"body": f"the cat sat {i}", "topic": (low, high)[i % 2]} for i in range(4)]
        values = [{**row, "topic": int(row["topic"])} if name == "one" else row for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in values))
        task, examples = read_training(folder / f"{name}.jsonl", text="body", label="topic")
        spec = fit_spec(name, backbone=str(backbone_folder), steps=1, seed=len(name))
        fit(task, examples, spec, folds=0, trainer={"accelerator": "cpu"}).save(folder / name)
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(fitted, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def test_fit_says_what_it_understood_and_found(tfew: Tfew, backbone_folder: Path) -> None:
    Path("train.csv").write_text(TRAIN)
    arguments = "fit train.csv --text body --label topic --answer 1=ran --template".split()
    result = tfew(*arguments, "{{ body }}?", "--steps", "2", "--folds", "9", "--backbone", str(backbone_folder))
    assert result.code == 0, result
    assert result.out.startswith(
        "train.csv: 5 rows; the question is made of 'body', the label is 'topic'\n"
        "2 classes: 0 2, 1 3 (as 'ran')\n"
        "an example, as the model reads it:\n  | the cat sat?\n  answer: 0\n"
    )
    assert f"ia3 on {backbone_folder}, from scratch: 2 steps of 8 examples\n" in result.out
    assert "of 5 rows right, each by one of 5 trainings that left it out\n" in result.out
    assert result.out.endswith("saved train.tfew; next: tfew predict train.tfew ROWS.csv\n")
    found = Fitted.load(Path("train.tfew"))
    assert (found.task.question, found.task.answers, found.spec.recipe.steps) == ("{{ body }}?", ("0", "ran"), 2)
    assert found.held_out is not None
    assert str(Path.cwd()) not in Path("train.tfew/fit.json").read_text()


def test_fit_says_what_is_odd(tfew: Tfew, backbone_folder: Path) -> None:
    text = " ".join(["mmmmmmmm"] * 200)
    Path("train.csv").write_text(f"text,label\n{text},x\nzzzzzzzz wwwww,x\nqqqqqqqq,lone\n")
    result = tfew("fit", "train.csv", "--steps", "1", "--backbone", str(backbone_folder))
    assert "one row alone has lone" in result.out
    assert "1 of 3 questions are longer than 256 tokens and are cut there" in result.out
    assert "tokens a word here: it hardly knows these words" in result.out
    assert "always giving the most frequent label is right for 66.7%" in result.out


def test_fit_measures_on_a_test_table(tfew: Tfew, backbone_folder: Path) -> None:
    Path("train.csv").write_text(TRAIN)
    Path("test.csv").write_text("topic,body\n1,the cow ran\n")
    arguments = "fit train.csv --text body --label topic --test test.csv --steps 1 -o here".split()
    result = tfew(*arguments, "--backbone", str(backbone_folder))
    assert "of 1 rows right, of the test table\n" in result.out
    assert Path("here/fit.json").is_file()


ROWS = [{"id": i, "body": f"the cow said {i}", "task": ("one", "two")[i % 2]} for i in range(5)]


@pytest.mark.parametrize("source", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("target", ["csv", "tsv", "jsonl", "parquet"])
def test_predict_reads_and_writes_every_format(
    source: str, target: str, tfew: Tfew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "CHUNK_ROWS", 2)
    rows, out = Path(f"rows.{source}"), Path(f"out.{target}")
    frame = pd.DataFrame(ROWS)
    match source:
        case "jsonl":
            frame.to_json(rows, orient="records", lines=True)
        case "parquet":
            frame.to_parquet(rows)
        case _:
            frame.to_csv(rows, index=False, sep="\t" if source == "tsv" else ",")
    arguments = ["predict", "one", "two", str(rows), "--route", "task", "--probabilities", "-o", str(out)]
    result = tfew(*arguments)
    assert (result.code, result.out) == (0, ""), result
    assert result.err.startswith("5 rows: ")
    if target == "jsonl":
        found = pd.read_json(out, lines=True, dtype={"prediction": str})
    elif target == "parquet":
        found = pd.read_parquet(out)
    else:
        found = pd.read_csv(out, sep="\t" if target == "tsv" else ",", dtype={"prediction": str})
    added = ["prediction", "probability_0", "probability_1", "probability_dull", "probability_fine"]
    assert list(found) == ["id", "body", "task", *added]
    assert found["id"].astype(int).tolist() == list(range(5))
    assert all(label in (("0", "1"), ("dull", "fine"))[i % 2] for i, label in enumerate(found["prediction"]))
    shares = found[added[1:]].astype(float)
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert shares.notna().to_numpy().tolist() == [[i % 2 == 0] * 2 + [i % 2 == 1] * 2 for i in range(5)]
    best = shares.idxmax(axis=1).str.removeprefix("probability_")
    assert best.tolist() == found["prediction"].tolist()
    assert sorted(p.name for p in Path().iterdir() if p.name.startswith(".")) == []


def _predicted(tfew: Tfew, rows: list[dict[str, Any]], out: str, *arguments: str) -> Path:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = tfew("predict", *arguments, "rows.jsonl", "-o", out)
    assert result.code == 0, result
    return Path(out)


def test_a_parquet_file_holds_every_row_s_values(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that the first rows do not let expect: other numbers, fields and tasks."""
    monkeypatch.setattr(predict, "CHUNK_ROWS", 2)
    rows = [
        {"body": f"the cow said {i}", "price": price, "more": more, "late": late, "task": task}
        for i, (price, more, late, task) in enumerate(
            [
                (10, {"a": 1}, None, "one"),
                (11, {"a": 2}, None, "one"),
                (10.5, {"b": 2}, "x", "two"),
                (0.25, None, None, "two"),
            ]
        )
    ]
    path = _predicted(tfew, rows, "out.PARQUET", "one", "two", "--route", "task", "--probabilities")
    found = parquet.read_table(path).to_pylist()
    assert [row["price"] for row in found] == [10, 11, 10.5, 0.25]
    assert [row["more"] for row in found] == [{"a": 1, "b": None}, {"a": 2, "b": None}, {"a": None, "b": 2}, None]
    assert [row["late"] for row in found] == [None, None, "x", None]
    assert [row["probability_dull"] is None for row in found] == [True, True, False, False]


@pytest.mark.parametrize("rows", [[{"n": 1}, {"n": "x"}], [{"n": 2**70}]])
def test_what_no_parquet_file_holds_is_told_before_any_weight(
    rows: list[dict[str, Any]], tfew: Tfew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfew_pl.userdata.predictor.predicting", None)
    Path("rows.jsonl").write_text("".join(json.dumps({"body": "a", **row}) + "\n" for row in rows))
    result = tfew("predict", "one", "rows.jsonl", "-o", "out.parquet")
    assert (result.code, result.err.count("\n")) == (2, 1), result
    assert "do not fit a Parquet file" in result.err
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize("target", ["csv", "tsv"])
def test_characters_that_end_lines_stay_within_their_cell(tfew: Tfew, target: str) -> None:
    rows = [{"body": body, "id": i} for i, body in enumerate(("the cow\rran", "the\nhen", "a\r\nb", "a"))]
    path = _predicted(tfew, rows, f"out.{target}", "one")
    found = [values for _, values in open_table(path)]
    assert [(row["body"], row["id"]) for row in found] == [(row["body"], str(row["id"])) for row in rows]
    assert path.read_bytes().endswith(b"\n")
    assert path.read_bytes().count(b"\r\n") == 1, "the cell's own"


def test_a_json_file_holds_no_number_that_is_none(tfew: Tfew) -> None:
    Path("rows.jsonl").write_text('{"body": "a", "m": [NaN, {"x": Infinity}]}\n')
    assert json.loads(tfew("predict", "one", "rows.jsonl").out)["m"] == [None, {"x": None}]


def test_fit_says_what_is_there_more_than_once(tfew: Tfew, backbone_folder: Path) -> None:
    Path("train.csv").write_text("text,label\na,x\na,x\nb,y\nb,x\nc,y\n")
    Path("test.csv").write_text("text,label\na,x\nd,y\n")
    options = ("--steps", "1", "--backbone", str(backbone_folder))
    said = (
        "rows that repeat another's question: 2, which are left out together with it; "
        "questions with more than one answer: 1\n"
    )
    assert said in tfew("fit", "train.csv", *options).out
    out = tfew("fit", "train.csv", "--test", "test.csv", "-o", "tested", *options).out
    assert "1 of 2 test rows are trained on, too" in out


def test_predict_writes_to_standard_output_as_it_read(tfew: Tfew) -> None:
    Path("rows.csv").write_text('body,note\n"a, b","say ""x"""\n')
    result = tfew("predict", "two", "rows.csv")
    (row,) = csv.DictReader(result.out.splitlines())
    assert (row["body"], row["note"]) == ("a, b", 'say "x"')
    assert row["prediction"] in ("dull", "fine")
    Path("rows.jsonl").write_text('{"body": "a", "more": [1, {"x": null}]}\n')
    found = json.loads(tfew("predict", "one", "rows.jsonl").out)
    assert found == {"body": "a", "more": [1, {"x": None}], "prediction": found["prediction"]}
    assert found["prediction"] in (0, 1), "a label keeps its type"


def test_chunks_do_not_change_predictions(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rows.csv").write_text("body\n" + "".join(f"the cow {'ran ' * (i % 5)}\n" for i in range(11)))
    found = []
    for size in (1, 4, 100):
        monkeypatch.setattr(predict, "CHUNK_ROWS", size)
        result = tfew("predict", "one", "rows.csv", "--probabilities")
        assert result.code == 0
        found.append(pd.DataFrame(csv.DictReader(result.out.splitlines()))["probability_0"].astype(float))
    for other in found[1:]:
        pd.testing.assert_series_equal(found[0], other, atol=2e-6)


def test_a_backbone_that_moved_is_named(tfew: Tfew, backbone_folder: Path) -> None:
    moved = shutil.copytree(backbone_folder, "moved")
    values = json.loads(Path("one/fit.json").read_text())
    values["spec"]["backbone"] = "where/it/was"
    Path("one/fit.json").write_text(json.dumps(values))
    Path("rows.csv").write_text("body\nthe cow ran\n")
    expected = tfew("predict", "two", "rows.csv", "--backbone", str(moved))
    result = tfew("predict", "one", "rows.csv", "--backbone", str(moved))
    assert (result.code, expected.code) == (0, 0), result
    assert len(list(csv.DictReader(result.out.splitlines()))) == 1


def test_a_merged_model_is_a_backbone_like_any_other(tfew: Tfew, backbone_folder: Path) -> None:
    moved = shutil.copytree(backbone_folder, "moved")
    values = json.loads(Path("one/fit.json").read_text())
    values["spec"]["backbone"] = "where/it/was"
    Path("one/fit.json").write_text(json.dumps(values))
    assert tfew("merge", "one", "merged").code == 2
    assert not Path("merged").exists()
    result = tfew("merge", "one", "merged", "--backbone", str(moved))
    assert (result.code, result.out) == (0, "merged\n"), result
    Path("train.csv").write_text(TRAIN)
    arguments = "fit train.csv --text body --label topic --steps 1 --folds 0 --backbone merged -o on_merged".split()
    assert tfew(*arguments).code == 0
    Path("rows.csv").write_text("body\nthe cow ran\n")
    assert tfew("predict", "on_merged", "rows.csv").code == 0
