"""The published numbers, against what the paper's pages say."""

from pathlib import Path

import pytest

from experiments import published
from tfew_pl.errors import UserError
from tfew_pl.tasks import TASKS


def test_table1_as_printed() -> None:
    rows = published.table1()
    assert list(rows) == ["T-Few", "T0", "T5+LM", "GPT-3 6.7B", "GPT-3 13B", "GPT-3 175B"]
    row = rows["T-Few"]
    assert (row.parameters, row.inference_flops, row.training_flops) == (11e9, 1.1e12, 2.7e16)
    assert (row.disk_bytes, row.accuracy) == (4.2e6, 72.4)
    assert rows["GPT-3 175B"].disk_bytes == 16e3
    assert [row.encoder_decoder for row in rows.values()] == [True] * 3 + [False] * 3


def test_table9_as_printed() -> None:
    methods = published.table9()
    assert set(methods) == set(published.table1())
    assert all(set(tasks) == set(TASKS) for tasks in methods.values())
    assert methods["T-Few"]["copa"] == published.Accuracy(93.0, 2.0)
    assert methods["T0"]["anli_r3"] == published.Accuracy(42.4, None)


def test_the_paper_disagrees_with_itself_where_the_readme_says() -> None:
    """Table 1 gives the mean of Table 9's numbers, but for the two rows that results/paper/README.md names."""
    off = {}
    for method, tasks in published.table9().items():
        mean = sum(accuracy.median for accuracy in tasks.values()) / len(tasks)
        if abs(mean - published.table1()[method].accuracy) > 0.051:
            off[method] = round(mean, 1)
    assert off == {"T0": 62.5, "T5+LM": 49.8}


def test_every_file_is_described() -> None:
    text = (published.FOLDER / "README.md").read_text(encoding="utf-8")
    for path in published.FOLDER.glob("*.csv"):
        assert f"`{path.name}`" in text


def test_missing_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    published.table1.cache_clear()
    try:
        with pytest.raises(UserError, match=r"table1_costs.csv is missing"):
            published.table1()
    finally:
        published.table1.cache_clear()
