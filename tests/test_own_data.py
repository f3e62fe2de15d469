"""The README's section on one's own data: what it shows is done, in fewer steps."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from experiments.cli import main
from tfew_pl.userdata import fit as fit_module
from tfew_pl.userdata.fitted import Fitted

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("## Your own data")[1].split("\n## ")[0]


def _rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", SECTION, flags=re.S)
    assert found is not None
    return found[1]


@pytest.fixture(autouse=True)
def _few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit_module, "POCKET_STEPS", 2)


def test_the_commands_do_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    Path("train.csv").write_text(_block("csv"))
    rows = _rows("train.csv")
    Path("other.csv").write_text(_block("csv").replace(",bad", ",worse"))
    tasks = ("train.tfew", "other.tfew")
    Path("rows.csv").write_text("text,task\n" + "".join(f"{r['text']},{tasks[i % 2]}\n" for i, r in enumerate(rows)))
    lines = [shlex.split(line, comments=True)[1:] for line in _block("sh").splitlines()]
    said = []
    for line in (lines[0], ["fit", "other.csv", "--folds", "0"], *lines[1:]):
        with pytest.raises(SystemExit) as end:
            main(line)
        assert not end.value.code
        said.append(capsys.readouterr().out)
        if "--probabilities" in line:
            (first, *_) = _rows("labeled.csv")
            assert list(first) == ["text", "task", "prediction", "probability_bad", "probability_good"]

    assert f"train.csv: {len(rows)} rows; the question is made of 'text', the label is 'label'" in said[0]
    assert "2 classes: bad 3, good 3" in said[0]
    question = re.search(r'question\s"(.*?)"', SECTION)
    assert question is not None
    assert f"  | {question[1]}\n  | {rows[0]['text']}\n  answer: {rows[0]['label']}\n" in said[0]
    assert "each by one of 4 trainings that left it out" in said[0], "a quarter of the rows in turn"
    assert Fitted.load(Path("train.tfew")).held_out is not None
    predicted = [row["prediction"] for row in _rows("labeled.csv")]
    assert all(label in (("bad", "good"), ("good", "worse"))[i % 2] for i, label in enumerate(predicted))
    assert Path("merged/model.safetensors").is_file()


def test_the_python_lines_run() -> None:
    rows = list(csv.DictReader(_block("csv").splitlines()))
    names = {"texts": [row["text"] for row in rows], "labels": [row["label"] for row in rows]}
    *setup, last = _block("python").strip().splitlines()
    exec("\n".join(setup), names)
    assert eval(last, names).shape == (1, 2)
