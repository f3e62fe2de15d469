"""`tfew claims`."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import experiments.grid
from experiments.claims import CLAIMS


def test_the_command_prints_both_ways(
    tfew: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    monkeypatch.setattr(experiments.grid, "load_grid", load)
    rows = json.loads(tfew("claims", "--store", str(tmp_path), "--json").out)
    assert [row["claim"] for row in rows] == [claim.text for claim in CLAIMS]
    assert {row["status"] for row in rows} == {"cannot tell at this scale"}
    shown = tfew("claims", "--store", str(tmp_path))
    assert shown.code == 0
    assert "tfew grid table3" in shown.out
