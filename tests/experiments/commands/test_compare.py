"""`tfew compare`, and the comparison of a grid's variants that it prints."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import experiments.grid
from experiments.contrasts import contrasts
from experiments.replacements import Replaced
from tfew_pl.record import RunRecord
from tfew_pl.store import RunStore
from tfew_pl.tasks import TASKS

Tfew = Callable[..., Any]
Variants = dict[str, list[RunRecord]]


@pytest.fixture
def predicted(variants: Variants) -> Variants:
    """The synthetic variants with predictions that have their accuracies, of 20 examples."""

    def filled(record: RunRecord) -> RunRecord:
        rows = [
            (template, example, 1, int(example < round(20 * share)))
            for template, share in enumerate(record.accuracy.values())
            for example in range(20)
        ]
        table = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
        return dataclasses.replace(record, predictions=table)

    return {name: [filled(record) for record in records] for name, records in variants.items()}


def test_contrasts(predicted: Variants) -> None:
    found = contrasts(predicted, "Zero-shot", resamples=100)
    rows = {row["method"]: row for row in found.rows}
    assert rows["T-Few"]["difference"] == pytest.approx(18, abs=4)
    assert rows["T-Few"]["difference_low"] > 0 > rows["In-context learning"]["difference_high"]
    assert (rows["T-Few"]["better"], rows["T-Few"]["worse"]) == (len(TASKS), 0)
    assert rows["Zero-shot"]["difference"] is None
    assert all(row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] for row in found.rows)
    assert found.ranking is not None
    assert list(found.ranking.ranks) == ["T-Few", "Zero-shot", "In-context learning"]
    values = [
        np.median([x for r in predicted["T-Few"] if r.spec.task == t for x in r.accuracy.values()]) for t in TASKS
    ]
    assert rows["T-Few"]["accuracy"] == pytest.approx(100 * np.mean(values), abs=2.5)  # of 20 examples: 5 a step


def test_tasks_without_labels_are_left_out_and_named(
    predicted: Variants, monkeypatch: pytest.MonkeyPatch, tfew: Tfew
) -> None:
    expected = contrasts(predicted, "T-Few", resamples=20)
    for name, records in predicted.items():
        spec = dataclasses.replace(records[0].spec, task="overruling")
        unlabeled = records[0].predictions.assign(gold=-1)
        records.append(dataclasses.replace(records[0], spec=spec, accuracy={}, predictions=unlabeled))
        assert contrasts({name: records[-1:]}, name, resamples=20).rows[0]["accuracy"] is None
    found = contrasts(predicted, "T-Few", resamples=20)
    assert (found.rows, found.ranking, found.unlabeled) == (expected.rows, expected.ranking, ("overruling",))
    monkeypatch.setattr("experiments.finished.finished_runs", lambda *_: predicted)
    monkeypatch.setattr("experiments.contrasts.RESAMPLES", 20)
    assert "Left out, as their evaluation examples have no labels: overruling." in tfew("compare", "table1").out


def test_ranks_are_on_what_all_variants_have(predicted: Variants) -> None:
    """On one example more, which the third has not, the second would be before the first."""
    one, other, few = ([record for record in predicted["T-Few"] if record.spec.task in ("rte", "cb")] for _ in range(3))

    def right(records: list[RunRecord], *examples: int) -> list[RunRecord]:
        table = pd.DataFrame({"template": 0, "example": range(len(examples)), "gold": 1, "predicted": examples})
        return [dataclasses.replace(record, predictions=table) for record in records]

    variants = {"one": right(one, 1, 0, 0, 0), "other": right(other, 0, 1, 1, 1), "few": right(few, 0)}
    found = contrasts(variants, "one", resamples=20).ranking
    assert found is not None
    assert found.ranks == {"one": 1.0, "other": 2.5, "few": 2.5}
    elsewhere = [dataclasses.replace(r, predictions=r.predictions.assign(example=7)) for r in variants["few"]]
    assert contrasts({**variants, "few": elsewhere}, "one", resamples=20).ranking is None


def test_a_swept_field_makes_variants_of_its_own(
    predicted: Variants, tfew: Tfew, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    monkeypatch.setattr(experiments.grid, "load_grid", load)
    grid = tmp_path / "swept.yaml"
    grid.write_text(
        "name: swept\ndescription: A sweep.\nvariants:\n"
        "  - {name: A, sweep: {task: [rte, cb], seed: official, recipe.learning_rate: [3e-3, 1e-3]}}\n"
    )
    found = {(r.spec.task, r.spec.seed): r for r in predicted["T-Few"]}
    for run in experiments.grid.load_grid(grid).runs:
        RunStore(tmp_path).save(dataclasses.replace(found[run.spec.task, run.spec.seed], spec=run.spec))
    values = json.loads(tfew("compare", str(grid), "--store", str(tmp_path), "--json").out)
    assert [(row["method"], row["runs"]) for row in values["rows"]] == [
        ("A, recipe.learning_rate=0.003", 10),
        ("A, recipe.learning_rate=0.001", 10),
    ]


def test_the_tasks_are_those_of_the_reference(predicted: Variants) -> None:
    predicted["Zero-shot"] = [record for record in predicted["Zero-shot"] if record.spec.task in ("rte", "cb")]
    found = contrasts(predicted, "Zero-shot", resamples=50)
    assert {row["tasks"] for row in found.rows} == {2}
    rows = {row["method"]: row for row in found.rows}
    t_few, icl = rows["T-Few"], rows["In-context learning"]
    assert t_few["difference"] == pytest.approx(t_few["accuracy"] - rows["Zero-shot"]["accuracy"])
    assert (icl["better"] + icl["worse"] <= 2, icl["runs"]) == (True, 10)
    assert found.ranking is not None
    assert (found.ranking.tasks, found.incomplete) == (2, ())


def test_who_has_not_all_tasks_is_left_out_and_changes_nothing(
    predicted: Variants, tfew: Tfew, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [record for record in predicted["In-context learning"] if record.spec.task == "rte"]
    others = {name: predicted[name] for name in ("T-Few", "Zero-shot")}
    found, expected = (contrasts(of, "T-Few", resamples=20) for of in ({**others, "few": few}, others))
    assert (found.rows, found.ranking, found.incomplete) == (expected.rows, expected.ranking, ("few",))
    monkeypatch.setattr("experiments.finished.finished_runs", lambda *_: {**others, "few": few})
    monkeypatch.setattr("experiments.contrasts.RESAMPLES", 20)
    assert "Left out, as they have no run of some of these tasks: few." in tfew("compare", "table1").out


def test_raft_has_a_metric_of_its_own(predicted: Variants, tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [
        dataclasses.replace(record, spec=dataclasses.replace(record.spec, task="overruling"))
        for record in predicted["T-Few"]
        if record.spec.task == "rte"
    ]
    monkeypatch.setattr("experiments.finished.finished_runs", lambda *_: {"T-Few": runs})
    shown = tfew("compare", "table2").out
    assert "All is of 1 task, those of T-Few." in shown
    assert "ranks by macro F1" in shown


def test_a_single_variant(predicted: Variants) -> None:
    found = contrasts({"T-Few": predicted["T-Few"]}, "T-Few", resamples=50)
    assert found.ranking is None
    assert found.rows[0]["difference"] is None


@pytest.fixture
def store(predicted: Variants, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    load = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    monkeypatch.setattr(experiments.grid, "load_grid", load)
    runs = experiments.grid.load_grid(experiments.grid.find_grid("table1")).runs
    found = {(r.spec.task, r.spec.method, r.spec.seed): r for records in predicted.values() for r in records}
    for run in runs:
        if run.spec.task in ("rte", "cb", "wic"):
            record = found[run.spec.task, run.spec.method, run.spec.seed]
            RunStore(tmp_path).save(dataclasses.replace(record, spec=run.spec))
    return str(tmp_path)


@pytest.mark.parametrize(("flag", "value"), [("backbone", "pocket-lm"), ("data", "pocket-dev")])
def test_of_other_runs(tfew: Tfew, predicted: Variants, store: str, flag: str, value: str) -> None:
    asked = ("compare", "table1", "--store", store, f"--{flag}", value, "--json")
    assert f"make them with: tfew grid table1 --{flag} {value} --store {store}" in tfew(*asked).err
    found = {(r.spec.task, r.spec.method, r.spec.seed): r for records in predicted.values() for r in records}
    for run in experiments.grid.load_grid(
        experiments.grid.find_grid("table1"), replaced=Replaced(**{flag: value})
    ).runs:
        if run.spec.task in ("rte", "cb"):
            record = found[run.spec.task, run.spec.method, run.spec.seed]
            RunStore(Path(store)).save(dataclasses.replace(record, spec=run.spec))
    assert json.loads(tfew(*asked).out)["ranking"]["tasks"] == 2  # the store has three of the grid's own


def test_the_command_prints_both_ways(tfew: Tfew, store: str) -> None:
    values = json.loads(tfew("compare", "table1", "--store", store, "--json").out)
    assert values["reference"] == "T-Few"
    assert [row["method"] for row in values["rows"]] == ["T-Few", "Zero-shot", "In-context learning"]
    assert values["ranking"]["tasks"] == 3
    shown = tfew("compare", "table1", "--store", store, "--reference", "Zero-shot")
    assert shown.code == 0
    assert "3 of 3" in shown.out
    assert "All is of 3 tasks, those of Zero-shot. Differences are to it, in points of accuracy" in shown.out
    assert "Nemenyi" in shown.out
    assert "runs are missing" in shown.err


def test_what_cannot_be_compared(tfew: Tfew, store: str, tmp_path: Path) -> None:
    assert "did you mean Zero-shot" in tfew("compare", "table1", "--store", store, "--reference", "zero-shot").err
    result = tfew("compare", "table1", "--store", str(tmp_path / "empty"))
    assert (result.code, "make them with: tfew grid table1" in result.err) == (2, True)
