import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tfew_pl import environment, matmul_precision
from tfew_pl.matmul_precision import Finding, known_finding, measure, set_matmul_precision


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def _measured(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> list[Finding]:
    """Has these measured one after the other; returns those that are left."""
    left = list(findings)
    monkeypatch.setattr(matmul_precision, "measure", lambda: left.pop(0))
    return left


FAST, SLOW = Finding("medium", 1.0, 2.0), Finding("highest", 1.0, 0.9)


@pytest.mark.parametrize(
    ("found", "precision"),
    [
        ([(1.5, 2.0), (2.0, 1.8)], "medium"),
        ([(1.5, 2.0), (2.0, 1.1)], "highest"),  # not faster at one of the shapes
        ([(1.5, 2.0), (1000.0, 8.0)], "highest"),  # bf16
    ],
)
def test_medium_is_taken_if_it_is_as_exact_and_clearly_faster(
    found: list[tuple[float, float]], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list(found)
    monkeypatch.setattr(matmul_precision, "_compared", lambda *_: left.pop(0))
    finding = measure()
    assert finding == Finding(precision, max(e for e, _ in found), min(s for _, s in found))  # type: ignore[arg-type]


def test_the_check_measures_and_leaves_the_precision_as_it_was() -> None:
    torch.set_float32_matmul_precision("high")
    finding = measure()
    assert torch.get_float32_matmul_precision() == "high"
    assert finding.error > 0
    assert finding.speedup > 0
    assert (finding.precision == "medium") == (finding.error <= 4 and finding.speedup >= 1.3)


def test_a_finding_is_kept_whatever_a_second_measurement_would_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = _measured(monkeypatch, FAST, SLOW)
    assert [known_finding(tmp_path / "new") for _ in range(2)] == [FAST, FAST]
    assert left == [SLOW]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)  # which is another machine
    assert known_finding(tmp_path / "new") == SLOW


def test_all_take_what_the_first_has_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured_by_two() -> Finding:
        monkeypatch.setattr(matmul_precision, "measure", lambda: FAST)
        known_finding(tmp_path)
        return SLOW

    monkeypatch.setattr(matmul_precision, "measure", measured_by_two)
    assert known_finding(tmp_path) == FAST
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", '{"precision": "medium"}', "[1]"])
def test_what_cannot_be_read_is_measured_again(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = _measured(monkeypatch, FAST, SLOW)
    known_finding(tmp_path)
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text()) == {"precision": "medium", "error": 1.0, "speedup": 2.0}
    file.write_text(content)
    assert known_finding(tmp_path) == SLOW
    assert not left


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    _measured(monkeypatch, FAST)
    assert known_finding(tmp_path / "file") == FAST


@pytest.mark.parametrize("finding", [FAST, SLOW])
def test_auto_takes_what_was_found_and_the_environment_names_it(
    finding: Finding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _measured(monkeypatch, finding)
    assert set_matmul_precision() == finding.precision
    assert environment.describe(torch.device("cpu"))["float32_matmul_precision"] == finding.precision
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "tfew_pl"]


def test_auto_leaves_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    left = _measured(monkeypatch, FAST)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert set_matmul_precision() == "highest"
    assert left == [FAST]


@pytest.mark.parametrize("choice", ["highest", "medium"])
def test_who_chooses_is_obeyed(choice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left = _measured(monkeypatch, FAST)
    assert set_matmul_precision(choice) == choice == torch.get_float32_matmul_precision()
    assert left == [FAST]
