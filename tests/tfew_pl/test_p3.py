"""The mixture of P3, from files in the hub's layouts."""

import re
import threading
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfew_pl import p3
from tfew_pl.errors import UserError
from tfew_pl.p3 import CAP, INPUT, TARGET, TRAINING_SETS, examples, weights

datasets.disable_progress_bars()
# P3's columns: texts, and their token ids.
CONFIGURATIONS = {
    "trec_what_category_best_describe": "trec/0000.parquet",
    "quarel_choose_between": "train/0000.parquet",
    "quarel_do_not_use": "train-00000-of-00001.parquet",
    "quarel_do_not_use_score_eval": "train/0000.parquet",
    "super_glue_rte_GPT_3_style": "train/0000.parquet",
}
ROWS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("P3")
    for name, file in CONFIGURATIONS.items():
        path = root / name / file.replace("trec/", "partial-train/")
        path.parent.mkdir(parents=True)
        texts = [f"  {name} question {number}?\n" for number in range(ROWS)]
        targets = [f"\nanswer {number}" if number else "" for number in range(ROWS)]
        table = {"inputs": [[3, 1]] * ROWS, INPUT: texts, "targets": [[7, 1]] * ROWS, TARGET: targets}
        pq.write_table(pa.table(table), path, row_group_size=10)
    return root


def test_t0_trains_on_38_datasets_none_of_them_held_out() -> None:
    assert len(TRAINING_SETS) == 38
    assert not any(re.match("anli|hellaswag|story_cloze|super_glue|winogrande", name) for name in TRAINING_SETS)


def test_a_large_dataset_counts_as_the_cap_over_its_templates() -> None:
    found = weights(["gigaword_a", "gigaword_b_", "imdb_x", "imdb_y_score_eval", "wiki_qa_z", "anli_GPT_3_style_r1"])
    assert found == {"gigaword_a": CAP / 2, "gigaword_b_": CAP / 2, "imdb_x": 25_000, "wiki_qa_z": 20_360}


def test_examples_come_as_often_as_their_weights_say(folder: Path) -> None:
    drawn = list(islice(examples(0, str(folder)), 400))
    names = Counter(text.split()[0] for text, _ in drawn)
    assert set(names) == {name for name in CONFIGURATIONS if "score_eval" not in name and "rte" not in name}
    expected = 400 * TRAINING_SETS["trec"] / (TRAINING_SETS["trec"] + 2 * TRAINING_SETS["quarel"])
    assert names["trec_what_category_best_describe"] == pytest.approx(expected, rel=0.15)
    for text, target in drawn:
        assert re.fullmatch(r"\S+ question (\d+)\?", text), "stripped"
        number = text.rstrip("?").split()[-1]
        assert target == f"answer {number}", "its own target"
        assert number != "0", "an example without a target is left out"


def test_the_seed_decides_the_order_and_every_pass_has_its_own(folder: Path) -> None:
    def drawn(seed: int) -> list[tuple[str, str]]:
        return list(islice(examples(seed, str(folder)), 300))

    first = drawn(3)
    assert first == drawn(3) != drawn(4)
    passes = [text for text, _ in first if text.startswith("trec")]
    assert len(passes) > 2 * (ROWS - 1)
    one, two = passes[: ROWS - 1], passes[ROWS - 1 : 2 * (ROWS - 1)]
    assert len(set(one)) == ROWS - 1, "every example once a pass"
    assert set(one) == set(two)
    assert one != two
    assert one != sorted(one)


def test_no_configuration_has_threads_of_its_own(folder: Path) -> None:
    before = threading.active_count()
    mixture = examples(0, str(folder))
    assert len(list(islice(mixture, 400))) == 400
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "has none of its training sets"),
        (b"PAR1 no more", "cannot read quarel_broken"),
        (pa.table({"text": ["a"], TARGET: ["b"]}), "quarel_broken"),
        (pa.table({INPUT: ["a"], TARGET: [""]}), "quarel_broken has no examples"),
    ],
)
def test_files_that_do_not_fit(change: Any, message: str, tmp_path: Path) -> None:
    if change is not None:
        path = tmp_path / "quarel_broken" / "train" / "0000.parquet"
        path.parent.mkdir(parents=True)
        if isinstance(change, bytes):
            path.write_bytes(change)
        else:
            pq.write_table(change, path)
    with pytest.raises(UserError, match=message) as caught:
        next(examples(0, str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_the_hub_is_not_asked_offline() -> None:
    with pytest.raises(UserError, match="the P3 mixture is streamed from the hub, and HF_HUB_OFFLINE says"):
        next(examples(0))


def test_the_hubs_configurations_are_its_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi, RepoFile, RepoFolder

    asked: list[Any] = []

    def tree(_api: Any, repository: str, **options: Any) -> list[Any]:
        asked.append((repository, options))
        return [
            RepoFolder(path="imdb_x", oid="1"),
            RepoFile(path="README.md", size=1, oid="2"),
            RepoFolder(path="ag_news_y", oid="3"),
        ]

    monkeypatch.setattr(HfApi, "list_repo_tree", tree)
    monkeypatch.setattr(p3, "is_offline", lambda: False)
    monkeypatch.setattr(p3, "require_hub", lambda _what: None)
    assert p3._configurations("hub") == ["ag_news_y", "imdb_x"]
    assert asked == [("bigscience/P3", {"revision": "refs/convert/parquet", "repo_type": "dataset"})]
    assert p3._files("imdb_x", "hub") == (
        "hf://datasets/bigscience/P3@refs%2Fconvert%2Fparquet/imdb_x/*train/*.parquet"
    )
