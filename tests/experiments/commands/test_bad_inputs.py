"""What `tfew fit`, `tfew predict` and `tfew merge` refuse: one line, exit code 2, no weight loaded, nothing written."""

import json
import pickle
import re
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tfew_pl import hub
from tfew_pl.userdata.examples import read_training
from tfew_pl.userdata.fit import fit, fit_spec
from tfew_pl.userdata.fitted import Fitted

Tfew = Callable[..., Any]

GOOD = b"text,label\nthe cat sat,yes\nthe dog ran,no\nthe bird sang,yes\nthe fish swam,no\n"
HUGE = b"a" * 10_000_000


def lines(*objects: Any) -> bytes:
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in objects).encode()


class Bad(NamedTuple):
    """A table with what else is asked, and what the line must say."""

    name: str
    content: bytes
    says: str
    options: tuple[str, ...] = ()


def parquet(**columns: list[Any]) -> bytes:
    return pd.DataFrame(columns).to_parquet()


TABLES = {
    "a missing file": Bad("none.csv", b"", "no such file"),
    "a folder": Bad("folder.csv", b"", "not a file"),
    "a spreadsheet": Bad("train.xlsx", b"PK\3\4", r"ending, which is one of \.csv"),
    "an empty file": Bad("train.csv", b"", "the file is empty"),
    "blank lines": Bad("train.csv", b"\n\n\n", "the file is empty"),
    "a byte order mark and nothing else": Bad("train.csv", b"\xef\xbb\xbf", "the file is empty"),
    "a header alone": Bad("train.csv", b"text,label\n", "no row below"),
    "a column twice": Bad("train.csv", b"text,label,text\na,yes,b\nc,no,d\n", "two columns are called 'text'"),
    "Latin-1": Bad("train.csv", "text,label\nthe cat,yes\ncaf\u00e9,no\n".encode("latin-1"), "line 3: not UTF-8"),
    "UTF-16": Bad("train.csv", GOOD.decode().encode("utf-16"), "line 1: not UTF-8"),
    "half a character at the end": Bad("train.csv", GOOD + b"caf\xc3", "not UTF-8|within a character"),
    "a quote never closed": Bad(
        "train.csv", b'text,label\na,yes\n"the dog,no\nb,yes\n', "line 3: a double quote is op"
    ),
    "a quote within a quoted text": Bad("train.csv", b'text,label\n"the "cat" sat",yes\na,no\n', "line 2: .*twice"),
    "a cell too few": Bad("train.csv", b"text,label\na,yes\nb\n", "line 3: 1 cells under 2 columns"),
    "a cell too many": Bad("train.csv", b"text,label\na, b and c,yes\nd,no\n", "line 2: 3 cells under 2 columns"),
    "semicolons": Bad("train.csv", GOOD.replace(b",", b";"), "separated by semicolons: save it with commas"),
    "tabs in a .csv": Bad("train.csv", GOOD.replace(b",", b"\t"), r"call it \.tsv"),
    "commas in a .tsv": Bad("train.tsv", GOOD, "separated by commas: save it with tabs"),
    "a cell of 10 MB": Bad("train.csv", b"text,label\na,yes\n" + HUGE + b",no\n", "line 3: a cell of more than"),
    "10 MB in JSON": Bad("t.jsonl", lines({"text": HUGE.decode(), "label": "a"}), "line 1: column 'text' holds a cell"),
    "10 MB in Parquet": Bad("t.parquet", parquet(text=[HUGE.decode(), "b"], label=["y", "n"]), "row 1: column 'text'"),
    "a wrong column of texts": Bad("train.csv", GOOD, "--text: unknown column 'txt': .*'?text", ("--text", "txt")),
    "a wrong column of labels": Bad("train.csv", GOOD, "--label: unknown column 'answer'", ("--label", "answer")),
    "an empty text": Bad("train.csv", b"text,label\na,yes\n,no\n", "line 3: column 'text' has no text"),
    "a blank text": Bad("train.csv", b"text,label\na,yes\n  ,no\n", "line 3: column 'text' has no text"),
    "no label": Bad("train.csv", b"text,label\na,yes\nb,\n", "line 3: column 'label' has no label"),
    "the label nan": Bad("train.csv", b"text,label\na,yes\nb,nan\n", "line 3: column 'label' has no label"),
    "NaN in JSON": Bad("t.jsonl", lines('{"text": "a", "label": NaN}'), "line 1: column 'label' has no label"),
    "None in Parquet": Bad("t.parquet", parquet(text=["a", "b"], label=["x", None]), "row 2: column 'label' has no"),
    "a fraction": Bad("t.jsonl", lines({"text": "a", "label": 0.5}), "line 1: .*0.5 is no label"),
    "a list of labels": Bad("t.jsonl", lines({"text": "a", "label": ["x"]}), r"line 1: .*\['x'\] is no label"),
    "one class": Bad("train.csv", b"text,label\na,yes\nb,yes\n", "one class only, 'yes'"),
    "a label a row": Bad("t.csv", b"text,label\n" + b"".join(b"a,%d\n" % i for i in range(12)), "12 different labels"),
    "labels of two kinds": Bad("t.jsonl", lines({"text": "a", "label": 1}, {"text": "b", "label": "x"}), "several k"),
    "a label with a separator": Bad("train.csv", b"text,label\na,x ||| y\nb,z\n", r"must not hold '\|\|\|'"),
    "no JSON": Bad("t.jsonl", lines({"text": "a", "label": "x"}, '{"text": '), "line 2: not a JSON object"),
    "a JSON array": Bad("t.jsonl", lines([{"text": "a", "label": "x"}]), "line 1: a JSON object is expected"),
    "a field twice": Bad("t.jsonl", lines('{"text": "a", "text": "b", "label": 1}'), "two fields are called 'text'"),
    "a field of its own": Bad("t.jsonl", lines({"text": "a", "label": 1}, {"text": "b", "labl": 0}), "no field 'labl'"),
    "half a surrogate": Bad("t.jsonl", lines('{"text": "a \\ud800", "label": 1}'), "line 1: .*surrogate"),
    "JSON too deep": Bad("t.jsonl", b"[" * 100_000, "line 1: nested too deeply"),
    "a truncated Parquet file": Bad("t.parquet", parquet(text=["a", "b"], label=["x", "y"])[:-9], "not a readable P"),
    "a Parquet file of text": Bad("t.parquet", GOOD, "not a readable Parquet file"),
    "bytes for text": Bad("t.parquet", parquet(text=[b"a", b"b"], label=["x", "y"]), "row 1: .*bytes, not text"),
    "lists for text": Bad("t.parquet", parquet(text=[["a"], ["b"]], label=["x", "y"]), "row 1: .*list, not text"),
}

OPTIONS = {
    "a field that is not there": ("unknown field 'txt': did you mean text", "--template", "{{ txt }}?"),
    "a forbidden attribute": ("line 2: .*unsafe.*sandbox", "--template", "{{ text.__class__.__mro__ }}"),
    "an endless range": ("line 2: .*[Rr]ange", "--template", "{{ text }}{% for i in range(10**9) %}{% endfor %}"),
    "a template that does not parse": ("line 1: ", "--template", "{{ text }"),
    "a division by zero": ("line 2: .*ZeroDivision", "--template", "{{ text }} {{ 1 / 0 }}"),
    "a question with the label": ("uses the column of labels, 'label'", "--template", "{{ text }} {{ label }}"),
    "a template with a target": ("without '\\|\\|\\|'", "--template", "{{ text }} ||| yes"),
    "a template without a column": ("mentions no column", "--template", "yes or no?"),
    "a question that is empty": ("line 2: .*empty question", "--template", "{% if text == 'x' %}y{% endif %}"),
    "an answer for no label": ("unknown label 'yess': did you mean yes", "--answer", "yess=right"),
    "an answer without a label": ("--answer right: expected LABEL=WORDS", "--answer", "right"),
    "an empty answer": ("answer for label 'yes' is empty", "--answer", "yes="),
    "two labels with one answer": ("have the same answer, 'no'", "--answer", "yes=no"),
    "an answer that ends like a separator": ("must not hold .* or end with", "--answer", "yes=right|"),
    "an answer that is named for no option": ("--folds 1: one part alone", "--folds", "1"),
    "a name of Jinja's": ("mentions _gold, which no question may", "--template", "{{ text }} {{ _gold }}"),
    "a text that is not there": ("--text: unknown column 'tex'", "--text", "tex", "--template", "{{ text }}?"),
    "two answers for one label": ("'yes' has an answer already", "--answer", "yes=a", "--answer", "yes=b"),
    "an unknown method": ("unknown method 'ia4': did you mean ia3", "--method", "ia4"),
    "a method that trains nothing": ("unknown method 'zero-shot'", "--method", "zero-shot"),
    "an unknown backbone": ("unknown backbone 'pocket-t1'", "--backbone", "pocket-t1"),
    "float16": ("T5's activations overflow it", "--precision", "fp16"),
    "no steps": ("steps must be at least 1", "--steps", "0"),
    "an output that is there": ("it is there already", "--output", "taken"),
    "an output in no folder": ("there is no folder", "--output", "nowhere/out"),
    "an output in a file": ("there is no folder", "--output", "train.csv/out"),
}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> None:
        pytest.fail("weights were loaded before the input was checked")

    for module in ("userdata.fit", "userdata.predictor", "userdata.merge", "backbones"):  # whence the others have it
        monkeypatch.setattr(f"tfew_pl.{module}.load_backbone", load)


def tree(folder: Path) -> Mapping[str, bytes]:
    """Everything below a folder, hidden files too."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def refuses(tfew: Tfew, says: str, *arguments: str) -> None:
    """One line that says so, exit code 2, and the folder as before."""
    before = tree(Path())
    result = tfew(*arguments)
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("tfew: ")
    assert result.err.count("\n") == 1, result.err
    assert len(result.err) < 600
    assert re.search(says, result.err), result.err
    assert tree(Path()) == before


@pytest.mark.usefixtures("_no_weights")
@pytest.mark.parametrize("bad", TABLES.values(), ids=TABLES)
def test_a_bad_table(bad: Bad, tfew: Tfew) -> None:
    path = Path(bad.name)
    if bad.name == "folder.csv":
        path.mkdir()
    elif bad.name != "none.csv":
        path.write_bytes(bad.content)
    refuses(tfew, bad.says, "fit", bad.name, *bad.options)


@pytest.mark.usefixtures("_no_weights")
@pytest.mark.parametrize(("says", "options"), [(says, more) for says, *more in OPTIONS.values()], ids=OPTIONS)
def test_a_bad_option(says: str, options: list[str], tfew: Tfew) -> None:
    Path("train.csv").write_bytes(GOOD)
    Path("taken").mkdir()
    refuses(tfew, says, "fit", "train.csv", *options)


@pytest.mark.usefixtures("_no_weights")
def test_nothing_but_a_fit_is_overwritten(tfew: Tfew) -> None:
    Path("data").mkdir()
    Path("data/train.csv").write_bytes(GOOD)
    refuses(tfew, "nothing else is overwritten", "fit", "data/train.csv", "-o", "data", "--overwrite")


@pytest.mark.usefixtures("_no_weights")
def test_folds_beside_a_test_table(tfew: Tfew) -> None:
    for name in ("train.csv", "test.csv"):
        Path(name).write_bytes(GOOD)
    refuses(tfew, "--folds goes without --test", "fit", "train.csv", "--test", "test.csv", "--folds", "4")


@pytest.mark.usefixtures("_no_weights")
@pytest.mark.parametrize(
    ("columns", "template", "says"),
    [
        (("range", "b"), "{{ text }} {{ range }}", "mentions range, which in templates is not the column"),
        (("answer_choices", "b"), "{{ text }} {{ answer_choices }}", "mentions answer_choices, which in templates"),
        (("a b", "a-b"), "{{ text }} {{ a_b }}", "may be any of the columns 'a b', 'a-b'"),
    ],
)
def test_a_column_whose_name_says_something_else(
    columns: tuple[str, str], template: str, says: str, tfew: Tfew
) -> None:
    rows = [{"text": "a", columns[0]: "x", columns[1]: "y", "label": label} for label in ("yes", "no")]
    Path("t.jsonl").write_bytes(lines(*rows))
    refuses(tfew, says, "fit", "t.jsonl", "--template", template)


@pytest.mark.usefixtures("_no_weights")
def test_a_text_that_is_not_used(tfew: Tfew) -> None:
    Path("t.csv").write_bytes(b"text,more,label\na,x,yes\nb,y,no\n")
    options = ("--text", "text", "--template", "{{ more }}?")
    refuses(tfew, "--text text: the template does not use it", "fit", "t.csv", *options)


@pytest.mark.usefixtures("_no_weights")
def test_an_empty_text_by_its_column_s_own_name(tfew: Tfew) -> None:
    Path("t.csv").write_bytes(b"review,label\na,yes\n,no\n")
    refuses(
        tfew, "line 3: column 'review' has no text", "fit", "t.csv", "--text", "review", "--template", "{{ review }}?"
    )


@pytest.mark.usefixtures("_no_weights")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"text,label\na,maybe\n", "test.csv, line 2: label 'maybe' is none of those trained on: no, yes"),
        (b"words,label\na,yes\n", "test.csv: unknown column 'text'"),
        (b"text,gold\na,yes\n", "test.csv: --label: unknown column 'label'"),
        (b"text,label\n", "test.csv: there is no row"),
    ],
)
def test_a_bad_test_table(content: bytes, says: str, tfew: Tfew) -> None:
    Path("train.csv").write_bytes(GOOD)
    Path("test.csv").write_bytes(content)
    refuses(tfew, says, "fit", "train.csv", "--test", "test.csv")


@pytest.mark.usefixtures("_no_weights")
def test_no_network(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(hub, "_trouble", lambda: "no route to host")
    Path("train.csv").write_bytes(GOOD)
    refuses(tfew, "hub, which cannot be reached", "fit", "train.csv", "--backbone", "t0-3b")


def test_answers_that_a_backbone_cannot_tell_apart(tfew: Tfew, backbone_folder: Path) -> None:
    Path("train.csv").write_bytes(GOOD.replace(b"yes", "\u6f22".encode()).replace(b",no", ",\u5b57".encode()))
    refuses_after(tfew, "are the same tokens", "fit", "train.csv", "--backbone", str(backbone_folder), "--steps", "1")


def refuses_after(tfew: Tfew, says: str, *arguments: str) -> None:
    """As `refuses`, for what only shows when the backbone is there: what was understood has been said."""
    before = tree(Path())
    result = tfew(*arguments)
    assert (result.code, result.err.count("\n")) == (2, 1), result
    assert says in result.err
    assert tree(Path()) == before


# What a fit has made


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory, backbone_folder: Path) -> Path:
    """A folder with `one` and `two` by (IA)3, `lora`, `full` and `prompt` by other methods, a step each."""
    folder = tmp_path_factory.mktemp("fits")
    (folder / "train.csv").write_bytes(GOOD)
    task, rows = read_training(folder / "train.csv", text="text", label="label")
    methods = {"one": "ia3", "two": "ia3", "lora": "lora", "full": "full", "prompt": "prompt-tuning-10"}
    for name, method in methods.items():
        spec = fit_spec("train", backbone=str(backbone_folder), method=method, steps=1)
        fit(task, rows, spec, folds=0, trainer={"accelerator": "cpu"}).save(folder / name)
    shutil.copytree(folder / "full", folder / "full2")
    (folder / "same").mkdir()
    shutil.copytree(folder / "one", folder / "same" / "one")
    return folder


@pytest.fixture
def here(fits: Path) -> Path:
    """The fits, and rows to predict, in the working folder."""
    shutil.copytree(fits, Path(), dirs_exist_ok=True)
    Path("rows.csv").write_text("text,task\nthe cow ate,one\nthe hen ran,two\n")
    return Path()


def edit(path: str, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(Path(path).read_text())
    change(values)
    Path(path).write_text(json.dumps(values))


def rewrite(path: str, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors)
    save_file(tensors, path, metadata)


def _pickle_instead() -> None:
    Path("one/adaptation.safetensors").rename("one/adaptation.pt")


DESCRIPTION, WEIGHTS = "one/fit.json", "one/adaptation.safetensors"
DAMAGES: dict[str, tuple[str, Callable[[], object]]] = {
    "no folder": ("no such folder", lambda: shutil.rmtree("one")),
    "an ordinary folder": ("no fit.json in it", lambda: Path(DESCRIPTION).unlink()),
    "half a description": ("damaged", lambda: Path(DESCRIPTION).write_text('{"format":')),
    "a description that is a list": ("damaged", lambda: Path(DESCRIPTION).write_text("[]")),
    "another format": ("format 'x'", lambda: edit(DESCRIPTION, lambda v: v.update(format="x"))),
    "a description without a task": ("damaged", lambda: edit(DESCRIPTION, lambda v: v.pop("task"))),
    "answers that are no texts": ("damaged", lambda: edit(DESCRIPTION, lambda v: v["task"].update(answers=[1, 2]))),
    "an answer too few": ("damaged", lambda: edit(DESCRIPTION, lambda v: v["task"]["answers"].pop())),
    "no weights": ("no adaptation.safetensors", lambda: Path(WEIGHTS).unlink()),
    "a pickle instead": ("adaptation.pt is a pickle", _pickle_instead),
    "a pickle by that name": ("not a readable", lambda: Path(WEIGHTS).write_bytes(pickle.dumps({"a": 1}))),
    "weights cut short": ("not a readable", lambda: Path(WEIGHTS).write_bytes(Path(WEIGHTS).read_bytes()[:-40])),
    "weights of no length": ("not a readable", lambda: Path(WEIGHTS).write_bytes(b"")),
    "somebody's weights": ("not an adaptation", lambda: save_file({"a": torch.ones(1)}, WEIGHTS)),
    "weights of another method": ("of method lora", lambda: shutil.copy("lora/adaptation.safetensors", WEIGHTS)),
    "weights that are no numbers": (
        "no numbers",
        lambda: rewrite(WEIGHTS, lambda t: next(iter(t.values())).fill_(torch.nan)),
    ),
    "a backbone that is gone": (
        "unknown backbone",
        lambda: edit(DESCRIPTION, lambda v: v["spec"].update(backbone="gone")),
    ),
    "another backbone": (
        "trained on other weights",
        lambda: edit(DESCRIPTION, lambda v: v["spec"].update(backbone="pocket-t0")),
    ),
}


@pytest.mark.usefixtures("_no_weights", "here")
@pytest.mark.parametrize("command", ["predict", "merge"])
@pytest.mark.parametrize(("says", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_fit(says: str, damage: Callable[[], object], command: str, tfew: Tfew) -> None:
    damage()
    refuses(tfew, says, command, "one", "rows.csv" if command == "predict" else "merged")


PREDICTIONS = {
    "rows without the column": ("unknown column 'text'", "text,", "txt,", ["one", "rows.csv"]),
    "rows without a text": ("line 3: column 'text' has no text", "the hen ran", "", ["one", "rows.csv"]),
    "rows with a prediction": ("column 'prediction' already", "task", "prediction", ["one", "rows.csv"]),
    "several folders and no route": ("need --route", "", "", ["one", "two", "rows.csv"]),
    "a route that is no column": (
        "--route: unknown column 'tsk'",
        "",
        "",
        ["one", "two", "rows.csv", "--route", "tsk"],
    ),
    "an unknown task": ("line 3: unknown task 'tow'", ",two", ",tow", ["one", "two", "rows.csv", "--route", "task"]),
    "two folders of one name": ("two folders are called one", "", "", ["one", "same/one", "rows.csv"]),
    "two methods": ("cannot share batches: method", "two", "lora", ["one", "lora", "rows.csv", "--route", "task"]),
    "a method without slots": ("one folder at a time", "one", "full", ["full", "full2", "rows.csv", "--route", "task"]),
    "an output of no format": ("written by its ending", "", "", ["one", "rows.csv", "-o", "out.txt"]),
    "an output in no folder": ("there is no folder", "", "", ["one", "rows.csv", "-o", "nowhere/out.csv"]),
    "an output that is a folder": ("a folder", "", "", ["one", "rows.csv", "-o", "taken.csv"]),
    "no rows": ("rows.csv: the file is empty", "*", "", ["one", "rows.csv"]),
}


@pytest.mark.usefixtures("_no_weights", "here")
@pytest.mark.parametrize(("says", "old", "new", "arguments"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_a_prediction_that_cannot_be(says: str, old: str, new: str, arguments: list[str], tfew: Tfew) -> None:
    Path("taken.csv").mkdir()
    text = Path("rows.csv").read_text()
    if "full" in arguments:
        text = text.replace("two", "full2")
    Path("rows.csv").write_text("" if old == "*" else text.replace(old, new) if old else text)
    refuses(tfew, says, "predict", *arguments)


@pytest.mark.usefixtures("_no_weights", "here")
@pytest.mark.parametrize(
    ("says", "arguments"),
    [("prompt-tuning-10 cannot be merged", ["prompt", "merged"]), ("it is there already", ["one", "two"]),
     ("there is no folder", ["one", "nowhere/merged"])],
)  # fmt: skip
def test_a_merge_that_cannot_be(says: str, arguments: list[str], tfew: Tfew) -> None:
    refuses(tfew, says, "merge", *arguments)


@pytest.mark.usefixtures("here")
def test_weights_of_another_shape(tfew: Tfew) -> None:
    rewrite(WEIGHTS, lambda tensors: tensors.update({n: t[:, :-1].contiguous() for n, t in tensors.items()}))
    refuses(tfew, "expected \\(1, ", "predict", "one", "rows.csv", "-o", "out.csv")


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """A file system that takes no more than some bytes a file: the kernel itself refuses the write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "arguments",
    [
        "fit train.csv -o new --steps 1 --folds 0",
        "predict one many.csv -o out.csv",
        "predict one many.csv -o out.jsonl",
        "predict one many.csv -o out.parquet",
        "merge one merged",
    ],
)
def test_a_full_disk(arguments: str, tfew: Tfew, backbone_folder: Path, full_disk: Callable[[int], None]) -> None:
    Path("many.csv").write_text("text\n" + "".join(f"the cow ate {i} {'x' * i}\n" for i in range(200)))
    words = arguments.split()
    before = tree(Path())
    full_disk(900)
    result = tfew(*words, *(("--backbone", str(backbone_folder)) if words[0] == "fit" else ()))
    assert result.code == 2, result
    assert "cannot write" in result.err
    assert result.err.count("\n") == 1
    assert tree(Path()) == before
    assert Fitted.load(Path("one"))
