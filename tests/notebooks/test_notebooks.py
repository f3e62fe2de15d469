"""The notebooks: each runs from top to bottom in under a minute, and is stored with the outputs that this gives."""

import base64
import io
import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from experiments.grid import find_grid, load_grid
from tfew_pl.record import Costs, RunRecord
from tfew_pl.resolve import PRETRAINED
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore
from tfew_pl.tasks import get_task

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 60
GRIDS = {
    "01_table_1": "table1",
    "02_methods": "table4",
    "03_ablations": "table10",
    "04_raft": "table2",
    "06_mixed_task_batches": "table1",
}
"""Of whose runs they are made."""
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


def pictures(path: Path) -> list["np.typing.NDArray[np.float32]"]:
    """The pixels of its pictures."""
    stored = [output["data"]["image/png"] for output in outputs(path) if "image/png" in output.get("data", {})]
    return [imread(io.BytesIO(base64.b64decode("".join(text)))) for text in stored]


def test_there_are_notebooks() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


def execute(path: Path, into: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    """Runs a notebook and writes it to a folder; also, the seconds of the processor that this took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(ROOT / "notebooks" / "execute.py"), "--into", str(into), str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def synthetic(spec: RunSpec) -> RunRecord:
    """A record of 20 examples through one template, right in more or fewer by the spec's digest."""
    generator = np.random.default_rng(int(spec.digest, 16))
    gold = generator.integers(get_task(spec.task).choices, size=20)
    predicted = np.where(generator.random(20) < generator.uniform(0.4, 0.9), gold, 1 - np.minimum(gold, 1))
    columns = {"template": 0, "example": np.arange(20), "gold": gold, "predicted": predicted}
    losses = {"step": [20, 40], "lm": [1.0, 0.5], "unlikelihood": [0.2, 0.1], "length_norm": np.nan}
    costs: dict[str, Any] = {**dict.fromkeys(Costs.__dataclass_fields__, 9), "parameters": 1000}
    return RunRecord(
        spec,
        {"the first template": float((gold == predicted).mean())},
        pd.DataFrame(columns),
        pd.DataFrame(losses),
        Costs(**costs),
        {},
        PRETRAINED["ia3", "pocket-t0"].read_bytes() if spec.method == "ia3" else None,
    )


def beside_synthetic_records(path: Path, folder: Path) -> Path:
    """A copy of the notebook in a folder where its runs are finished; of Table 4, those of three methods."""
    store = RunStore(folder / "results" / "pocket" / "records")
    name = GRIDS[path.stem]
    for specs in list(load_grid(find_grid(name)).variants().values())[: 3 if name == "table4" else None]:
        for spec in specs:
            store.save(synthetic(spec))
    copy = folder / "notebooks" / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    return copy


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom_and_is_stored_with_its_outputs(path: Path, tmp_path: Path) -> None:
    result, seconds = execute(path, tmp_path)
    stored = result.returncode == 0
    if result.returncode == 2:  # it has nothing to show yet, says what makes it, and shows nothing
        assert re.search(r"\d+ of \d+ runs are missing .*; make them with: make reproduce-", result.stderr)
        assert not outputs(path), "outputs of records that are not there: make notebooks"
        result, seconds = execute(beside_synthetic_records(path, tmp_path), tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    assert seconds < SECONDS  # of the processor, so that it does not matter what else the machine does
    fresh = tmp_path / path.name
    assert [cell["source"] for cell in cells(fresh)] == [cell["source"] for cell in cells(path)]
    for notebook in (fresh, path) if stored else (fresh,):
        assert [cell["execution_count"] for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
        assert any("image/png" in output.get("data", {}) for output in outputs(notebook))
        assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
        assert not MACHINE.search("\n".join(texts(notebook)))
    if stored and path.stem not in COMPUTES:
        assert texts(fresh) == texts(path), "the records have changed: make notebooks"
        for now, before in zip(pictures(fresh), pictures(path), strict=True):
            assert now.shape == before.shape
            assert (np.abs(now - before) > 0.1).mean() < 1e-4, "a figure has changed: make notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_explained_and_short(path: Path) -> None:
    first, *rest = cells(path)
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).startswith("# ")
    assert sum(cell["cell_type"] == "markdown" for cell in rest) >= 2
    assert sum(len(cell["source"]) for cell in code(path)) < 150


def test_there_is_a_target_that_makes_them() -> None:
    assert "notebooks/execute.py" in (ROOT / "Makefile").read_text(encoding="utf-8")
