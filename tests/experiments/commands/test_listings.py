"""`tfew tasks`, `methods`, `backbones` and `split`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfew_pl.backbones
from tfew_pl.registry import registered_classifiers, registered_methods
from tfew_pl.tasks import RAFT_TASKS, TASKS
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

Tfew = Callable[..., Any]
SHOTS = {
    "copa": 32,
    "hellaswag": 20,
    "story_cloze": 70,
    "winogrande": 50,
    "wsc": 32,
    "wic": 32,
    "rte": 32,
    "cb": 32,
    "anli_r1": 50,
    "anli_r2": 50,
    "anli_r3": 50,
}
"""Few-shot sizes of the held-out tasks, which are GPT-3's; RAFT has 50."""


def test_tasks(tfew: Tfew) -> None:
    rows = json.loads(tfew("tasks", "--json").out)
    assert [row["name"] for row in rows] == [*TASKS, *RAFT_TASKS]
    by_name = {row["name"]: row for row in rows}
    assert {by_name[name]["shots"] for name in RAFT_TASKS} == {50}
    assert by_name["banking_77"]["choices"] == 77
    assert {name: by_name[name]["shots"] for name in TASKS} == SHOTS
    # As the release counts them.
    templates = [by_name[name]["templates"] for name in ("copa", "hellaswag", "story_cloze", "winogrande")]
    assert templates == [8, 4, 5, 5]
    assert by_name["hellaswag"]["chance"] == 0.25
    assert (by_name["rte"]["hub"], by_name["story_cloze"]["hub"]) == ("aps/super_glue (rte)", None)
    shown = tfew("tasks").out
    assert all(name in shown for name in (*TASKS, *RAFT_TASKS))


def test_methods(tfew: Tfew) -> None:
    rows = {row["name"]: row for row in json.loads(tfew("methods", "--json").out)}
    assert set(rows) == {"zero-shot", "in-context", *registered_methods(), *registered_classifiers()}
    assert rows["setfit"]["trains"] is True
    assert "learning_rate=2e-05" in rows["setfit"]["options"]
    assert not rows["zero-shot"]["trains"]
    assert all(row["summary"] and "\n" not in row["summary"] for row in rows.values())
    assert "in-context" in tfew("methods").out
    assert rows["bitfit"]["recipe"] == {"steps": 300, "learning_rate": 3e-4}
    assert (rows["bitfit"]["steps"], rows["bitfit"]["learning_rate"]) == (300, 3e-4)
    assert (rows["ia3"]["steps"], rows["ia3"]["learning_rate"], rows["ia3"]["release"]) == (1000, 3e-3, {})
    assert (rows["lora"]["slotted"], rows["lora"]["mergeable"]) == (True, True)
    assert (rows["full"]["slotted"], rows["adapter"]["mergeable"]) == (False, False)


def test_methods_say_where_the_paper_and_the_release_differ(tfew: Tfew) -> None:
    shown = tfew("methods").out
    assert "\nbitfit: steps=1000 with --recipe release.\n" in shown
    assert "\nprefix-tuning: learning_rate=1e-2 with --recipe release." in shown
    assert "\nadapter: as in the release: none after attention" in shown
    assert "\nintrinsic-said-20k, intrinsic-said-500k: one projection to the whole backbone" in shown


def test_ia3_is_registered(tfew: Tfew) -> None:
    (row,) = (row for row in json.loads(tfew("methods", "--json").out) if row["name"] == "ia3")
    assert row["trains"]
    assert "(IA)3" in row["summary"]


def test_backbones(tfew: Tfew, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "model.safetensors").write_bytes(b"x" * 1500)
    aliases = {
        "one": tfew_pl.backbones.Alias("a first", str(here)),
        "two": tfew_pl.backbones.Alias("a second", str(there)),
        "three": tfew_pl.backbones.Alias("a third", "some/repository"),
    }
    monkeypatch.setattr(tfew_pl.backbones, "ALIASES", aliases)
    rows = json.loads(tfew("backbones", "--json").out)
    assert [(row["name"], row["present"], row["bytes"]) for row in rows] == [
        ("one", True, 1500),
        ("two", False, None),
        ("three", False, None),
    ]
    assert rows[2]["where"] == "hub: some/repository"
    assert "1.5 kB" in tfew("backbones").out


def test_a_download_that_has_only_begun_is_not_here(
    tfew: Tfew, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--bigscience--T0_3B"
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "abc.incomplete").write_bytes(b"x")

    def present() -> bool:
        rows = json.loads(tfew("backbones", "--json").out)
        return next(row["present"] for row in rows if row["name"] == "t0-3b")

    assert not present()
    (folder / "snapshots" / "r").mkdir(parents=True)
    (folder / "snapshots" / "r" / "pytorch_model.bin").symlink_to(folder / "blobs" / "abc.incomplete")
    assert present()


@pytest.mark.parametrize("seed", OFFICIAL_SEEDS)
def test_splits_of_every_task_are_the_releases(tfew: Tfew, seed: int) -> None:
    """As the release draws them: seed NumPy's global generator, shuffle the whole list, take the first."""
    before = np.random.get_state()  # noqa: NPY002 (the release's generator)
    try:
        np.random.seed(seed)  # noqa: NPY002
        whole = list(range(2490))
        np.random.shuffle(whole)  # noqa: NPY002
    finally:
        np.random.set_state(before)  # noqa: NPY002
    for task in (*TASKS, *RAFT_TASKS):
        arguments = ("split", "--task", task, "--seed", str(seed), "--size", "2490")
        assert json.loads(tfew(*arguments, "--json").out) == whole[: SHOTS.get(task, 50)], task
    assert tfew(*arguments).out.split() == list(map(str, whole[:50]))


def test_split_of_other_sizes(tfew: Tfew) -> None:
    arguments = ("split", "--task", "rte", "--size", "100")
    assert len(json.loads(tfew(*arguments, "--shots", "7", "--json").out)) == 7
    assert tfew(*arguments, "--shots", "101") == (
        2,
        "",
        "tfew: 101 few-shot examples were asked of a training set of 100\n",
    )
    assert tfew("split", "--task", "ret", "--size", "100").err == "tfew: unknown task 'ret': did you mean rte?\n"
    assert tfew("split", "--task", "rte", "--seed", "-1").code == 2
