"""The notebooks: each runs from top to bottom in under a minute, and is stored with the outputs that this gives."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 60
COMPUTES = ("05_your_own_data", "06_mixed_task_batches")
"""Those that run a model, whose last digits depend on the processor."""
MACHINE = re.compile(r"/(work|tmp|home|root|usr|opt|var)/|[A-Z]:\\|\b(\d{1,3}\.){3}\d{1,3}\b")
"""A path of somebody's machine, or an address."""


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def code(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def outputs(path: Path) -> list[dict[str, Any]]:
    return [output for cell in code(path) for output in cell["outputs"]]


def texts(path: Path) -> list[str]:
    """What a notebook says, pictures apart."""
    found = []
    for output in outputs(path):
        data = {kind: text for kind, text in output.get("data", {}).items() if kind.startswith("text/")}
        found += ["".join(text) for text in (output.get("text", ""), *data.values())]
    return found


def test_there_are_notebooks() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom_and_is_stored_with_its_outputs(path: Path, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(ROOT / "notebooks" / "execute.py"), "--into", str(tmp_path), str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    fresh = tmp_path / path.name
    if result.returncode == 2:  # it has nothing to show yet, says what makes it, and shows nothing
        assert re.search(r"missing.*; make them with: (make|tfew) ", result.stderr)
        assert not outputs(path), "outputs of records that are not there: make notebooks"
        return
    assert result.returncode == 0, result.stderr[-3000:]
    # Of the processor, so that it does not matter what else the machine does.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
    assert [cell["source"] for cell in cells(fresh)] == [cell["source"] for cell in cells(path)]
    for notebook in (path, fresh):
        assert [cell["execution_count"] for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
        assert any("image/png" in output.get("data", {}) for output in outputs(notebook))
        assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
        assert not MACHINE.search("\n".join(texts(notebook)))
    if path.stem not in COMPUTES:
        assert texts(fresh) == texts(path), "the records have changed: make notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_explained_and_short(path: Path) -> None:
    first, *rest = cells(path)
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).startswith("# ")
    assert sum(cell["cell_type"] == "markdown" for cell in rest) >= 2
    assert sum(len(cell["source"]) for cell in code(path)) < 150


def test_there_is_a_target_that_makes_them() -> None:
    assert "notebooks/execute.py" in (ROOT / "Makefile").read_text(encoding="utf-8")
