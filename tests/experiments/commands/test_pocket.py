"""`tfew pocket`: each subcommand calls its stage with what was given."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tfew_pl.pocket.gate
import tfew_pl.pocket.stages
import tfew_pl.pocket.tokenizer

Tfew = Callable[..., Any]
Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture(autouse=True)
def _quiet_again() -> Iterator[None]:
    logger = logging.getLogger("tfew_pl")
    level = logger.level
    yield
    logger.setLevel(level)


def recorded(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, result: Any = None) -> Calls:
    calls: Calls = []

    def call(*arguments: Any, **keywords: Any) -> Any:
        calls.append((arguments, keywords))
        return result

    monkeypatch.setattr(module, name, call)
    return calls


def test_tokenizer(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, tfew_pl.pocket.tokenizer, "train_tokenizer")
    assert tfew("pocket", "tokenizer", "--out", "a", "--seed", "3").code == 0
    assert calls == [((Path("a"), 3), {})]


def test_stages(tfew: Tfew, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = recorded(monkeypatch, tfew_pl.pocket.stages, "run_stage")
    assert tfew("pocket", "span", "--out", "a", "--tokenizer", str(tmp_path)).code == 0
    assert tfew("pocket", "lm", "--out", "b", "--init", str(tmp_path), "--seed", "1").code == 0
    assert tfew("pocket", "t0", "--out", "c", "--init", str(tmp_path), "--processes", "1").code == 0
    assert calls == [
        (("span", Path("a"), 0), {"tokenizer": tmp_path, "processes": 2}),
        (("lm", Path("b"), 1, tmp_path), {"processes": 2}),
        (("t0", Path("c"), 0, tmp_path), {"processes": 1}),
    ]


def test_a_stage_needs_the_one_before(tfew: Tfew, tmp_path: Path) -> None:
    assert "--init" in tfew("pocket", "t0", "--out", "c").err
    result = tfew("pocket", "t0", "--out", "c", "--init", "not-there")
    assert result.code == 2
    assert "does not exist" in result.err


def test_gate(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded(monkeypatch, tfew_pl.pocket.gate, "measure", {"polar": 0.875, "P3 boolq": 1.0})
    assert json.loads(tfew("pocket", "gate", "pocket-lm", "--count", "8", "--json").out) == [
        {"question": "polar", "right": 0.875},
        {"question": "P3 boolq", "right": 1.0},
    ]
    assert calls == [(("pocket-lm", 8), {})]
    assert tfew("pocket", "gate", "pocket-lm").out.splitlines()[-2:] == ["polar       87.5%", "P3 boolq   100.0%"]


def test_data(tfew: Tfew, tmp_path: Path) -> None:
    result = tfew("pocket", "data", "--out", str(tmp_path / "dev"))
    assert (result.code, result.out) == (0, f"22 files written to {tmp_path / 'dev'}\n")
    assert len((tmp_path / "dev" / "rte" / "validation.jsonl").read_text().splitlines()) == 200
    (tmp_path / "file").touch()
    refused = tfew("pocket", "data", "--out", str(tmp_path / "file"))
    assert refused.code == 2
    assert "cannot write" in refused.err
