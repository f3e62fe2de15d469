"""Somebody else's records: what is taken, what is refused and why; nothing is half-taken."""

import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.leaderboard import foreign_record
from experiments.leaderboard.board import OURS, board
from experiments.leaderboard.submission import submissions, submit
from tfew_pl.archive import ENDING, write_archive
from tfew_pl.errors import UserError
from tfew_pl.record import RunRecord
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec
from tfew_pl.store import CHECKPOINTS, FAILURES, LEASES, LOGS, RunStore, content_digest
from tfew_pl.store_archives import pack
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.data import load_data

Maker = Callable[[RunSpec], RunRecord]


@pytest.fixture(scope="module")
def whole(save_all: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run for every task and seed of a method that nobody here knows."""
    return save_all(tmp_path_factory.mktemp("theirs") / "records", method="gains", options={"start": 0.9})


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled: a file is replaced, never written into."""
    shutil.copytree(whole, tmp_path / "records", copy_function=os.link)
    return tmp_path / "records"


def find(folder: Path, task: str, seed: int) -> Path:
    for path in sorted(folder.iterdir()):
        spec = json.loads((path / "record.json").read_text())["spec"]
        if (spec["task"], spec["seed"]) == (task, seed):
            return path
    raise LookupError


@pytest.fixture
def one(whole: Path, tmp_path: Path) -> Path:
    """A copy of one of its records, in a folder of its own."""
    path = find(whole, "copa", 42)
    shutil.copytree(path, tmp_path / "some" / path.name, copy_function=os.link)
    return tmp_path / "some" / path.name


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.unlink()
    path.write_text(json.dumps(values))


def refused(folder: Path, tmp_path: Path) -> str:
    with pytest.raises(UserError) as caught:
        submit(folder, "a lab", tmp_path / "into")
    assert not (tmp_path / "into").exists()
    return str(caught.value)


def test_what_is_whole_is_added(folder: Path, tmp_path: Path) -> None:
    target, count = submit(folder, "a lab", tmp_path / "into")
    assert (target, count) == (tmp_path / "into" / "a lab", 55)
    stores = submissions(tmp_path / "into")
    assert list(stores) == ["a lab"]
    digest = find(folder, "rte", 1024).name
    kept, theirs = stores["a lab"].load(digest), RunStore(folder).load(digest)
    assert (kept.spec, kept.accuracy, kept.costs) == (theirs.spec, theirs.accuracy, theirs.costs)
    pd.testing.assert_frame_equal(kept.predictions, theirs.predictions)
    assert kept.adaptation is None
    row = board({source: store.records() for source, store in stores.items()}).sections[0].rows[0]
    assert (row.source, row.spec.method, row.changes, row.complete) == ("a lab", "gains", ("options.start=0.9",), True)


def test_a_store_as_runners_leave_it_is_added(folder: Path, tmp_path: Path) -> None:
    for name in (LEASES, LOGS, FAILURES, CHECKPOINTS):
        (folder / name).mkdir()
    _, count = submit(folder, "a lab", tmp_path / "into")
    assert count == 55


def test_a_packed_store_is_added(whole: Path, folder: Path, tmp_path: Path) -> None:
    store = RunStore(folder)
    pack(store, "some", sorted(store.folders())[:30])
    pack(store, "more", sorted(store.folders())[:20])
    assert len(store.folders()) == 5
    _, count = submit(folder, "a lab", tmp_path / "into")
    assert count == 55
    kept = submissions(tmp_path / "into")["a lab"]
    for digest in RunStore(whole).folders():
        pd.testing.assert_frame_equal(kept.load(digest).predictions, store.load(digest).predictions)


def test_a_run_is_added_once(whole: Path, folder: Path, tmp_path: Path) -> None:
    store = RunStore(folder)
    digest = sorted(store.folders())[0]
    pack(store, "some", [digest])
    shutil.copytree(whole / digest, folder / digest)
    assert f"{digest}: 2 records of one run" in refused(folder, tmp_path)


@pytest.mark.parametrize(
    ("digest", "name", "reason"),
    [
        ("../../elsewhere1", "record.json", "'../../elsewhere1' is no digest of a run"),
        ("0123456789abcdef", "../../evil", "'../../evil' is no part of a record"),
        ("0123456789abcdef", "record.json", "0123456789abcdef: losses.parquet, predictions.parquet missing"),
    ],
)
def test_archives_that_hold_anything_else(folder: Path, tmp_path: Path, digest: str, name: str, reason: str) -> None:
    write_archive(folder / f"some{ENDING}", {digest: {name: b"{}"}})
    assert reason in refused(folder, tmp_path)
    assert not list(tmp_path.rglob("*evil*"))


def test_archives_that_are_none(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = folder / f"some{ENDING}"
    archive.write_bytes(b"PAR1 and no more")
    assert f"{archive.name}: cannot be read" in refused(folder, tmp_path)
    pd.DataFrame({"a": [1]}).to_parquet(archive)
    assert f"{archive.name}: has not the columns of an archive" in refused(folder, tmp_path)
    archive.unlink()
    store = RunStore(folder)
    pack(store, "some", store.folders())
    monkeypatch.setattr("experiments.leaderboard.foreign_archive._LARGEST", 1000)
    assert f"{archive.name}: holds more than 1000 bytes" in refused(folder, tmp_path)
    archive.unlink()
    archive.symlink_to(tmp_path / "anything")
    assert f"{archive.name}: not a plain file" in refused(folder, tmp_path)


def test_archives_whose_files_share_their_content(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that the file keeps once, and that would be unpacked as often as it is named."""
    archive, times = folder / f"some{ENDING}", 40
    content = pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array([b"x" * 9000], pa.binary()))
    digests = [f"{i:016x}" for i in range(times)]
    table = pa.table({"digest": digests, "name": ["record.json"] * times, "content": content})
    pq.write_table(table, archive, use_dictionary=["content"], store_schema=False)
    assert archive.stat().st_size < 20_000
    monkeypatch.setattr("experiments.leaderboard.foreign_archive._LARGEST", 100_000)
    assert f"{archive.name}: holds more than 100000 bytes" in refused(folder, tmp_path)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"digest": ["0" * 16], "name": ["record.json"], "content": ["a text"]}, "has not the columns of an archive"),
        ({"digest": [["0" * 16]], "name": ["record.json"], "content": [b""]}, "has not the columns of an archive"),
        ({"digest": ["0" * 16] * 2, "name": ["record.json"] * 2, "content": [b""] * 2}, "is there twice"),
        ({"digest": ["0" * 16], "name": ["record.json"], "content": pa.array([None], pa.binary())}, "is not a file's"),
    ],
)
def test_archives_of_other_tables(folder: Path, tmp_path: Path, table: dict[str, Any], reason: str) -> None:
    pq.write_table(pa.table(table), folder / f"some{ENDING}")
    assert reason in refused(folder, tmp_path)


def test_a_name_is_taken_once(folder: Path, tmp_path: Path) -> None:
    submit(folder, "a lab", tmp_path / "into")
    with pytest.raises(UserError, match="there is a submission 'a lab' already; choose another --name"):
        submit(folder, "a lab", tmp_path / "into")
    with pytest.raises(UserError, match="there is a submission 'a lab' already"):
        submit(folder, "A Lab", tmp_path / "into")
    assert list(submissions(tmp_path / "into")) == ["a lab"]
    (tmp_path / "into" / "notes").write_text("x")
    with pytest.raises(UserError, match="there is something else at"):
        submit(folder, "notes", tmp_path / "into")


@pytest.mark.parametrize(
    "name",
    ["", ".hidden", "..", "a/b", "a\\b", "a\nb", "x" * 81, "\u202egnp", " a", "a  b", "\u3164", OURS, OURS.title()],
)
def test_names_that_cannot_be(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="--name"):
        submit(folder, name, tmp_path / "into")


def test_hostile_names_that_can_be_are_kept_as_they_are(folder: Path, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)> & \"'{{ 7*7 }}"
    submit(folder, name, tmp_path / "into")
    assert list(submissions(tmp_path / "into")) == [name]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v.update(version=2), "schema version 2, expected 1"),
        (lambda v: v.pop("costs"), "record.json must have exactly the keys"),
        (lambda v: v.update(extra=1), "record.json must have exactly the keys"),
        (lambda v: v["spec"].update(seed=43), "the digest of its spec is"),
        (lambda v: v.update(digest="0" * 16), "the digest of its spec is"),
        (lambda v: v["spec"].update(seed="42"), "spec.seed: '42' is not valid"),
        (lambda v: v["spec"].update(method=["gains"]), "spec.method: ['gains'] is not valid"),
        (lambda v: v["spec"].update(method="a\u202eb"), "spec.method: 'a\\u202eb' is not valid"),
        (lambda v: v["spec"].update(options={"start": []}), "spec.options: {'start': []} is not valid"),
        (lambda v: v["spec"].update(precision="fp16"), "spec.precision: 'fp16' is not valid"),
        (lambda v: v["spec"].pop("task"), "spec: RunSpec.__init__() missing 1 required positional argument: 'task'"),
        (lambda v: v["spec"].update(x=1), "spec: unknown: 'x'"),
        (lambda v: v.update(spec=[]), "spec: expected an object"),
        (lambda v: v["costs"].pop("parameters"), "costs: Costs.__init__() missing 1 required"),
        (lambda v: v["spec"]["recipe"].update(steps=0), "spec.recipe: recipe: steps must be at least 1"),
        (lambda v: v["spec"]["recipe"].update(learning_rate=True), "spec.recipe.learning_rate: True is not valid"),
        (lambda v: v["spec"].update(method=""), "the method or the backbone has no name"),
        (lambda v: v["spec"].update(backbone=""), "the method or the backbone has no name"),
        (lambda v: v["spec"].update(method="  "), "spec.method: '  ' is not valid"),
        (lambda v: v["spec"].update(backbone="my  net"), "spec.backbone: 'my  net' is not valid"),
        (lambda v: v["spec"].update(options={"start": 10**400}), "spec.options: {'start': 1000"),
        (lambda v: v["spec"]["recipe"].update(learning_rate=10**400), "spec.recipe.learning_rate: 1000"),
        (lambda v: v["costs"].update(parameters=-1), "costs.parameters: -1 is not between 0 and 1e+15"),
        (lambda v: v["costs"].update(trained_parameters=10**16), "costs.trained_parameters: 10000000000000000 is not"),
        (lambda v: v["costs"].update(peak_memory_bytes=10**308), "costs.peak_memory_bytes: 1000"),
        (lambda v: v["costs"].update(measured_stored_bytes=10**308), "costs.measured_stored_bytes: 1000"),
        (lambda v: v["costs"].update(inference_flops=10**400), "costs.inference_flops: 1000"),
        (
            lambda v: v["costs"].update(measured_training_flops=1.7e308),
            "costs.measured_training_flops: 1.7e+308 is not",
        ),
        (lambda v: v["costs"].update(evaluation_seconds=1e300), "costs.evaluation_seconds: 1e+300 is not"),
        (lambda v: v["costs"].update(inference_flops=float("nan")), "NaN is no number"),
        (lambda v: v["costs"].update(inference_flops="1"), "costs.inference_flops: '1' is not valid"),
        (lambda v: v["files"].update({"losses.parquet": "0"}), "losses.parquet has changed since the record was saved"),
        (lambda v: v["files"].update({"../x": "0"}), "files: expected digests of predictions.parquet"),
        (lambda v: v.update(files=[]), "files: expected digests of predictions.parquet"),
        (lambda v: v.update(environment=[]), "environment: expected an object"),
        (lambda v: v.update(accuracy={}), "accuracy: expected the templates of copa"),
        (lambda v: v.update(accuracy=dict.fromkeys(v["accuracy"], 1.0)), "is 1.0; its predictions give 0."),
        (lambda v: v.update(accuracy=dict.fromkeys(v["accuracy"], "1")), "is '1'; its predictions give 0."),
    ],
)
def test_a_record_that_is_not_as_it_should_be(
    one: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    rewrite(one / "record.json", change)
    message = refused(one.parent, tmp_path)
    assert message.startswith(f"{one.parent}: 1 problem, nothing was added\n  {one.name}: ")
    assert reason in message


def _spoil(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Changes a table, and the digest that the record keeps of it."""
    table = change(pd.read_parquet(path))
    path.unlink()
    table.to_parquet(path, index=False)
    rewrite(path.with_name("record.json"), lambda v: v["files"].update({path.name: content_digest(path.read_bytes())}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.iloc[:-1], "not one row for each of 8 templates and each example"),
        (lambda t: t[::-1], "not one row for each of 8 templates"),
        (lambda t: t.assign(gold=0, predicted=(t["gold"] != t["predicted"]).astype(int)), "other correct choices"),
        (lambda t: t.assign(predicted=t["predicted"].replace({1: 5})), "is 0."),
        (lambda t: t.drop(columns="gold"), "expected the columns template, example, gold, predicted"),
        (lambda t: t.assign(gold=t["gold"].astype(str)), "expected whole numbers only"),
        (lambda t: t.iloc[:0], "0 examples for each template"),
    ],
)
def test_predictions_that_are_not_whole(
    one: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    _spoil(one / "predictions.parquet", change)
    message = refused(one.parent, tmp_path)
    assert f"{one.name}: " in message
    assert reason in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.assign(lm=float("inf")), "losses.parquet: expected finite numbers only"),
        (lambda t: t.assign(lm="x"), "losses.parquet: expected finite numbers only"),
        (lambda t: t.drop(columns="step"), "losses.parquet: expected the columns step, lm"),
    ],
)
def test_losses_that_are_none(
    one: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    _spoil(one / "losses.parquet", change)
    assert reason in refused(one.parent, tmp_path)


def test_texts_are_not_read(one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a table repeats a long one, which its file keeps once."""
    _spoil(one / "predictions.parquet", lambda t: t.assign(template="x" * 5000))
    monkeypatch.setattr("pyarrow.parquet.ParquetFile.read", lambda _: pytest.fail("it was read"))
    assert "predictions.parquet: expected whole numbers only" in refused(one.parent, tmp_path)


def test_a_file_that_is_no_table(one: Path, tmp_path: Path) -> None:
    path = one / "predictions.parquet"
    path.unlink()
    path.write_text("x")
    rewrite(one / "record.json", lambda v: v["files"].update({path.name: content_digest(path.read_bytes())}))
    assert "predictions.parquet cannot be read" in refused(one.parent, tmp_path)


def test_a_loss_that_was_left_out_is_no_number(one: Path, tmp_path: Path) -> None:
    _spoil(one / "losses.parquet", lambda t: t.assign(unlikelihood=float("nan")))
    assert "expected 42, 1024, 0, 1, 32" in refused(one.parent, tmp_path)  # the record itself is taken


def test_predictions_outside_the_choices(one: Path, tmp_path: Path) -> None:
    """A wrong prediction that is no choice at all leaves the accuracy as it is."""
    _spoil(
        one / "predictions.parquet",
        lambda t: t.assign(predicted=t["predicted"].where(t["gold"] == t["predicted"], 9)),
    )
    assert "predicted is not among the 2 choices of copa" in refused(one.parent, tmp_path)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda p: (p / "losses.parquet").unlink(), "losses.parquet missing"),
        (lambda p: (p / "run.sh").write_text("x"), "'run.sh' is no part of a record"),
        (lambda p: (p / "adaptation.safetensors").unlink() or (p / "adaptation.safetensors").symlink_to("/"), "plain"),
        (lambda p: (p / "record.json").unlink() or (p / "record.json").write_text("{"), "not valid JSON"),
        (lambda p: (p / "record.json").unlink() or (p / "record.json").write_text("[" * 10**5), "not valid JSON"),
        (lambda p: (p / "losses.parquet").unlink() or (p / "losses.parquet").write_text("x"), "has changed since"),
        (lambda p: p.rename(p.with_name("f" * 16)), "the digest of its spec is"),
        (lambda p: (p.parent / "notes.txt").write_text("x"), "notes.txt: not a record's folder"),
    ],
)
def test_files_that_are_not_as_they_should_be(
    one: Path, tmp_path: Path, act: Callable[[Path], object], reason: str
) -> None:
    act(one)
    assert reason in refused(one.parent, tmp_path)


def test_examples_that_are_left_out(tmp_path: Path, make_record: Maker) -> None:
    """The accuracies of the first hundred examples, said to be those of all."""
    record = make_record(RunSpec(task="copa", evaluation=Evaluation(examples=100)))
    spec = dataclasses.replace(record.spec, evaluation=Evaluation())
    RunStore(tmp_path / "some").save(dataclasses.replace(record, spec=spec))
    assert "not all examples of copa" in refused(tmp_path / "some", tmp_path)


def test_missing_runs_are_named(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(find(folder, "copa", 42))
    assert refused(folder, tmp_path).endswith(
        "\n  gains (pocket-t0) on copa: seeds 0, 1, 32, 1024, expected 42, 1024, 0, 1, 32"
    )
    for task, seed in itertools.product(("copa", "rte"), (42, 1024, 0, 1, 32)):
        if (task, seed) != ("copa", 42):
            shutil.rmtree(find(folder, task, seed))
    assert refused(folder, tmp_path).endswith("gains (pocket-t0): no run on copa, rte")


def test_another_version_of_the_data(tmp_path: Path, make_record: Maker) -> None:
    record = make_record(RunSpec(task="copa"))
    spec = dataclasses.replace(record.spec, revisions=dataclasses.replace(record.spec.revisions, data="older"))
    folder = tmp_path / "some"
    RunStore(folder).save(dataclasses.replace(record, spec=spec))
    assert f"made on another version of the data of copa: older, here {record.spec.revisions.data}" in refused(
        folder, tmp_path
    )


def test_data_that_is_not_at_hand_must_agree_with_itself(
    save_all: Callable[..., Path], tmp_path: Path, make_record: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the hub's data only this can be said without it, and its size."""
    monkeypatch.setattr(foreign_record, "EVALUATION_EXAMPLES", _pocket_sizes())
    folder = save_all(tmp_path / "hub", method=ZERO_SHOT, data="hub")
    store = RunStore(folder)
    for record in list(store.records()):
        wrong = (record.predictions["gold"] != record.predictions["predicted"]).astype(int)
        spoiled = record.predictions.assign(gold=0, predicted=wrong)
        predictions = spoiled if record.spec.task == "copa" else record.predictions
        spec = dataclasses.replace(record.spec, backbone="other")
        store.save(dataclasses.replace(record, spec=spec, predictions=predictions))
    assert "(a lab) have different correct choices for the data of copa" in refused(folder, tmp_path)


def test_data_that_is_not_at_hand_must_agree_through_all_templates(
    save_all: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right through the first, by which records are compared, and whatever was predicted through the others."""
    monkeypatch.setattr(foreign_record, "EVALUATION_EXAMPLES", _pocket_sizes())
    store = RunStore(save_all(tmp_path / "hub", method=ZERO_SHOT, data="hub"))
    record = store.load(find(store.folder, "copa", 42).name)
    gold = record.predictions["gold"].where(record.predictions["template"] == 0, record.predictions["predicted"])
    names = {name: (1.0 if i else share) for i, (name, share) in enumerate(record.accuracy.items())}
    spec = dataclasses.replace(record.spec, backbone="other")
    cheat = RunStore(tmp_path / "cheat")
    cheat.save(dataclasses.replace(record, spec=spec, accuracy=names, predictions=record.predictions.assign(gold=gold)))
    assert "correct choice is not the same through all templates" in refused(cheat.folder, tmp_path)


def test_correct_choices_must_be_those_of_the_other_records(
    save_all: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is right by other answers: neither than ours nor than somebody else's, of whom one saw a few examples."""
    monkeypatch.setattr(foreign_record, "EVALUATION_EXAMPLES", _pocket_sizes())
    honest = RunStore(save_all(tmp_path / "honest", method=ZERO_SHOT, data="hub"))
    few = save_all(tmp_path / "few", method=ZERO_SHOT, data="hub", evaluation=Evaluation(8))
    cheat = RunStore(tmp_path / "cheat")
    for record in honest.records():
        late = (record.predictions["example"] > 8) & (record.spec.task == "copa")
        gold = record.predictions["gold"].where(~late, record.predictions["predicted"] * 0)
        right = (gold == record.predictions["predicted"]).groupby(record.predictions["template"]).mean()
        shares = dict(zip(record.accuracy, right, strict=True))
        spec = dataclasses.replace(record.spec, backbone="other")
        cheat.save(
            dataclasses.replace(record, spec=spec, accuracy=shares, predictions=record.predictions.assign(gold=gold))
        )
    submit(few, "a few", tmp_path / "into")
    submit(honest.folder, "honest", tmp_path / "into")
    for ours, into in ((None, "into"), (honest, "elsewhere")):
        with pytest.raises(UserError, match=r"different correct choices for the data of copa") as caught:
            submit(cheat.folder, "cheat", tmp_path / into, ours)
        assert f"({OURS if ours else 'honest'}) and" in str(caught.value)
    assert list(submissions(tmp_path / "into")) == ["a few", "honest"]


def _pocket_sizes() -> dict[str, int]:
    return {task: len(load_data(task, "pocket").evaluation) for task in TASKS}


def test_data_that_is_not_at_hand_must_be_whole(tmp_path: Path, make_record: Maker) -> None:
    """Of fewer examples, an accuracy is another; as many as the run's evaluation says are enough."""
    store = RunStore(tmp_path / "hub")
    for spec in (RunSpec(task="copa", data="hub"), RunSpec(task="rte", data="hub", evaluation=Evaluation(32))):
        store.save(make_record(spec))
    message = refused(store.folder, tmp_path)
    given = _pocket_sizes()["copa"]
    assert f"predictions.parquet: {given} examples of copa, expected 100 of its 100" in message
    assert "of rte" not in message


def test_data_must_be_that_of_the_other_records(
    save_all: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else both are added, and then no page can be built of them."""
    monkeypatch.setattr(foreign_record, "EVALUATION_EXAMPLES", _pocket_sizes())
    folder = save_all(tmp_path / "records", method=ZERO_SHOT, data="hub")
    submit(folder, "a lab", tmp_path / "into", RunStore(tmp_path / "nothing"))
    older = RunStore(tmp_path / "older")
    for record in RunStore(folder).records():
        revisions = dataclasses.replace(record.spec.revisions, data="an older one")
        older.save(dataclasses.replace(record, spec=dataclasses.replace(record.spec, revisions=revisions)))
    for ours, into in ((None, "into"), (RunStore(folder), "elsewhere")):
        with pytest.raises(
            UserError, match=r"nothing was added: records .* different versions of the data of"
        ) as caught:
            submit(older.folder, "another", tmp_path / into, ours)
        assert f"({OURS if ours else 'a lab'})" in str(caught.value)
    assert list(submissions(tmp_path / "into")) == ["a lab"]
    assert not (tmp_path / "elsewhere").exists()


def test_runs_that_see_no_example_need_no_seeds(save_all: Callable[..., Path], tmp_path: Path) -> None:
    folder = save_all(tmp_path / "records", method=ZERO_SHOT, evaluation=Evaluation(1000, 2))
    assert submit(folder, "a lab", tmp_path / "into")[1] == len(TASKS)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("x")])
def test_no_records(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "none")
    assert "none" in refused(tmp_path / "none", tmp_path)


def test_a_long_list_of_problems_is_cut(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (path / "losses.parquet").unlink()
    message = refused(folder, tmp_path)
    assert message.splitlines()[0].endswith("55 problems, nothing was added")
    assert message.endswith("\n  and 43 more")


def test_a_folder_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        submit(folder, "a lab", tmp_path / "file")
