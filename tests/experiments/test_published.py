"""The published numbers, against what the paper's pages say."""

from pathlib import Path

import pytest

from experiments import published
from tfew_pl.errors import UserError
from tfew_pl.tasks.heldout import TASKS


def test_table1_as_printed() -> None:
    rows = published.table1()
    assert list(rows) == ["T-Few", "T0", "T5+LM", "GPT-3 6.7B", "GPT-3 13B", "GPT-3 175B"]
    row = rows["T-Few"]
    assert (row.parameters, row.inference_flops, row.training_flops) == (11e9, 1.1e12, 2.7e16)
    assert (row.disk_bytes, row.accuracy) == (4.2e6, 72.4)
    assert rows["GPT-3 175B"].disk_bytes == 16e3
    assert [row.encoder_decoder for row in rows.values()] == [True] * 3 + [False] * 3


def test_table9_as_printed() -> None:
    methods = published.accuracies(9)
    assert set(methods) == set(published.table1())
    assert all(set(tasks) == {task.name for task in TASKS} for tasks in methods.values())
    assert methods["T-Few"]["copa"] == published.Accuracy(93.0, 2.0)
    assert methods["T0"]["anli_r3"] == published.Accuracy(42.4, None)


@pytest.mark.parametrize(
    ("table", "rows", "row", "task", "accuracy"),
    [
        (3, 4, "+ LN", "hellaswag", (47.1, 22.4)),
        (4, 15, "SAID (20K)", "cb", (83.9, 1.8)),
        (4, 15, "(IA)3", "anli_r3", (40.8, 2.3)),
        (5, 13, "Compacter++", "copa", None),
        (6, 13, "FISH mask (0.02%)", "rte", None),
        (7, 13, "Prompt tuning (10)", "wsc", None),
        (8, 2, "(IA)3 + PT", "winogrande", (62.6, 1.1)),
        (10, 4, "- PT - L_UL - L_LN", "story_cloze", (98.0, 0.3)),
    ],
)
def test_tables_by_dataset(table: int, rows: int, row: str, task: str, accuracy: tuple[float, float] | None) -> None:
    found = published.accuracies(table)
    assert len(found) == rows
    assert all(set(tasks) == {task.name for task in TASKS} for tasks in found.values())
    if accuracy:
        assert found[row][task] == published.Accuracy(*accuracy)
    else:
        assert found[row][task] != published.accuracies(4)[row][task]  # each table has numbers of its own


def test_parameter_counts_are_those_of_the_methods_in_table_4() -> None:
    counts = published.parameter_counts()
    assert set(counts) == set(published.accuracies(4))
    assert (counts["Adapter"], counts["(IA)3"], counts["Full fine-tuning"]) == (12.9e6, 540e3, 3e9)


def test_raft() -> None:
    """Table 2's scores are the means of Table 11's."""
    assert list(published.raft()) == ["T-Few", "Human baseline", "PET", "SetFit", "GPT-3"]
    for method, datasets in published.raft_datasets().items():
        assert len(datasets) == 11
        assert sum(datasets.values()) / 11 == pytest.approx(published.raft()[method], abs=0.06)


def test_the_paper_disagrees_with_itself_where_the_readme_says() -> None:
    """Table 1 gives the mean of Table 9's numbers, but for the two rows that results/paper/README.md names."""
    off = {}
    for method, tasks in published.accuracies(9).items():
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
