import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.benchmarks import page, timing, workloads
from experiments.benchmarks.contenders import Ours, Peft, contenders
from tfew_pl.choices import ChoiceBatch
from tfew_pl.compiled import CompiledStacks
from tfew_pl.errors import UserError
from tfew_pl.store import RunStore

ON_A_CPU = ("training_step", "rank_classification", "slots", "matrix_products")


@pytest.fixture
def tiny(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "plain_model", lambda _name: make_model("untied"))


@pytest.fixture
def batch() -> ChoiceBatch:
    return workloads.batch(0, 512, size=3, choices=3, inputs=(4, 9))


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", ON_A_CPU)
def test_each_prints_a_table_and_writes_json(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"experiments.benchmarks.{name}")
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)
    file = tmp_path / "found.json"
    module.command(model="tiny", rounds=2, json=file)
    content, printed = json.loads(file.read_text()), capsys.readouterr().out
    assert content["rows"]
    assert content["environment"]["device"].startswith("cpu")
    for row in content["rows"]:
        assert all(value > 0 for value in row.values() if isinstance(value, float))
        assert str(row.get("variant", "")) in printed


def test_mixed_tasks_are_timed_against_one_after_another(
    backbone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("experiments.benchmarks.mixed_tasks")
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)
    monkeypatch.setattr(module, "TASKS", (2, 3))
    module.command(model=str(backbone_folder), rows=2, rounds=1, json=tmp_path / "found.json")
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert [(row["tasks"], row["variant"]) for row in rows] == [(n, v) for n in (2, 3) for v in ("mixed", "in turn")]
    assert [row["ratio"] for row in rows[::2]] == [1.0, 1.0]
    assert all(row["median_ms"] > 0 for row in rows)
    assert "in turn" in capsys.readouterr().out


def test_compiled_steps_are_timed_beside_plain_ones(
    backbone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("experiments.benchmarks.compiled_step")
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)
    backends: list[str] = []

    def compiled() -> CompiledStacks:
        backends.append("eager")
        return CompiledStacks("eager")

    monkeypatch.setattr(module, "CompiledStacks", compiled)
    module.command(model=str(backbone_folder), method=["full"], rounds=1, json=tmp_path / "found.json")
    (row,) = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert row["method"] == "full"
    assert row["plain/compiled"] == pytest.approx(row["plain_ms"] / row["compiled_ms"])
    assert backends == ["eager"] * 2, "one of the two trainings, and one before them"
    assert "plain / compiled" in capsys.readouterr().out


def test_many_choices_take_less_memory_in_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("experiments.benchmarks.choice_memory")
    monkeypatch.setattr(module, "CHOICES", (60,))
    module.command(model="pocket-t0", processes=1, json=tmp_path / "found.json", figure=tmp_path / "found.png")
    (row,) = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert row["choices"] == 60
    assert 0 < row["parts_mb"] < row["whole_mb"] / 2
    assert "60" in capsys.readouterr().out
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_shows_all_measurements(tmp_path: Path) -> None:
    content = {
        "title": "A step",
        "command": "python -m experiments.benchmarks.slots --json x.json",
        "settings": {"model": "tiny"},
        "environment": {"device": "cpu", "threads": 1, "packages": {"torch": "2"}},
        "columns": {"variant": "slots", "median_ms": "median ms", "ratio": "times one", "bytes": "bytes"},
        "rows": [{"variant": "a_b", "median_ms": 1234.5, "ratio": 1.0, "bytes": 70647808}],
    }
    (tmp_path / "x.json").write_text(json.dumps(content))
    (tmp_path / "x.png").write_bytes(b"")
    page.command(folder=tmp_path)
    shown = (tmp_path / "README.md").read_text()
    assert "**A step, tiny**" in shown
    assert "| slots | median ms | times one |      bytes |" in shown
    assert "| a\\_b  |     1,234 |      1.00 | 70,647,808 |" in shown
    assert "Several runs trained together as slots of one model" in shown
    assert "`python -m experiments.benchmarks.slots --json x.json`\\\ncpu, 1 thread, PyTorch 2\n" in shown
    assert "![x](x.png)" in shown
    (tmp_path / "y.json").write_text("[]")
    with pytest.raises(UserError, match=r"y\.json: no measurement of a benchmark"):
        page.page(tmp_path)


def test_the_committed_page_shows_the_committed_measurements() -> None:
    folder = Path(__file__).parents[3] / page.FOLDER
    assert (folder / "README.md").read_text(encoding="utf-8") == page.page(folder)


def test_contenders_compute_the_same(make_model: Any, batch: ChoiceBatch) -> None:
    """What is timed is one and the same: scores, and what a step does to the vectors."""
    found = contenders(lambda: make_model("untied"))
    ours = found["ours"]
    assert isinstance(ours, Ours)
    expected = ours.rank(batch)
    for one in found.values():
        torch.testing.assert_close(one.rank(batch), expected, atol=1e-5, rtol=1e-5)
        one.step(batch)
    for one in found.values():
        torch.testing.assert_close(one.rank(batch), ours.rank(batch), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(ours.rank(batch), expected, atol=1e-4)


def test_complement_of_peft_is_ours(make_model: Any, batch: ChoiceBatch) -> None:
    ours, theirs = Ours(make_model("untied")), Peft(make_model("untied"), shared_encoder=True)
    with torch.no_grad():
        one, two = ours.module.score(batch, complement=True), theirs.scores(batch)
    wrong = one.log_complement != 0
    torch.testing.assert_close(two.log_complement[wrong], one.log_complement[wrong], atol=1e-4, rtol=1e-4)


def test_ratios_are_of_neighbors_in_time() -> None:
    """A disturbance that slows both variants of a round leaves the ratio as it is."""
    found = timing.rows({"ours": [1.0, 10.0, 1.0], "other": [2.0, 20.0, 2.0]}, "ours")
    assert [row["ratio"] for row in found] == [1.0, 2.0]
    assert [row["median_ms"] for row in found] == [1e3, 2e3]


def test_variants_take_turns() -> None:
    calls: list[tuple[str, int]] = []
    variants = {name: lambda number, name=name: calls.append((name, number)) for name in "ab"}
    seconds = timing.interleaved(variants, 2, warm_up=1)
    assert calls == [(name, number) for number in (0, 0, 1) for name in "ab"]
    assert all(len(values) == 2 and math.isfinite(sum(values)) for values in seconds.values())


def test_the_runners_overhead_is_measured_by_what_it_really_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("experiments.benchmarks.runner_overhead")
    seen: list[int] = []
    plain = module._tfew

    def watched(*arguments: Any) -> None:
        store = arguments[arguments.index("--store") + 1]
        seen.append(len(RunStore(store).digests()))
        plain(*arguments)

    monkeypatch.setattr(module, "_tfew", watched)
    file = tmp_path / "found.json"
    module.command(runs=12, workers=1, rounds=1, folder=tmp_path, json=file)
    assert seen == [0, 12, 12, 12]
    rows = json.loads(file.read_text())["rows"]
    assert [row["limit_ms"] for row in rows] == [20, 2000, 2000, 2000, 2000]
    printed = capsys.readouterr().out
    for row in rows:
        assert row["variant"] in printed
    assert all(row["processor_ms"] > 100 for row in rows[1:]), "processes that were started count"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_benchmark_says_what_it_would_do_where_there_is_none() -> None:
    gpu = importlib.import_module("experiments.benchmarks.gpu")
    with pytest.raises(UserError, match=r"needs a CUDA GPU.* would time 7 steps of ours; ours, 5 slots; PEFT"):
        gpu.command(steps=7)


def test_a_dry_run_goes_through_all_of_the_gpu_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu = importlib.import_module("experiments.benchmarks.gpu")
    file = tmp_path / "gpu.json"
    gpu.command(steps=2, dry_run=True, json=file)
    content = json.loads(file.read_text())
    assert [row["variant"] for row in content["rows"]] == list(gpu.VARIANTS)
    assert all(row["mfu"] > 0 and row["memory"] > 0 for row in content["rows"])
    assert "mean nothing" in content["title"]
    one, five = content["rows"][:2]
    assert five["seconds_a_run"] == pytest.approx(five["seconds"] / 5)
    assert one["seconds_a_run"] == one["seconds"]
    assert "ours, 5 slots" in capsys.readouterr().out
