"""The README's method of one's own: its package, as it stands there, is listed, counted, trained, and compared."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("### A method of your own")[1]
_TFEW = "import sys; from experiments.cli import main; main(sys.argv[1:])"
Run = Callable[..., str]


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", SECTION, flags=re.S)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def tfew(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs `tfew` in a process of its own, where the package is on the path with its egg-info."""
    package = tmp_path_factory.mktemp("gains")
    (package / "gains.py").write_text(_block("python"))
    (package / "setup.cfg").write_text(_block("ini"))
    setup = [sys.executable, "-c", "from setuptools import setup; setup()", "-q", "egg_info"]
    subprocess.run(setup, cwd=package, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(package)}

    def run(*arguments: str) -> str:
        found = subprocess.run(
            [sys.executable, "-c", _TFEW, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr
        return found.stdout

    return run


def test_it_is_listed_and_counted(tfew: Run) -> None:
    rows = {row["name"]: row for row in json.loads(tfew("methods", "--json"))}
    assert rows["gains"]["summary"] == "a gain for every feed-forward layer"
    assert rows["gains"]["options"] == ["start=1.0"]
    counts = json.loads(tfew("params", "--backbone", "t5-small", "--method", "gains", "--json"))
    assert counts == {"gains": {"trainable": 12, "stored": 12, "inference_extra": 12}}


def test_it_is_trained(tfew: Run, backbone_folder: Path, tmp_path: Path) -> None:
    arguments = f"run --task copa --backbone {backbone_folder} --method gains --set start=0.9 --steps 2"
    limits = f"--shots 8 --examples 2 --templates 1 --store {tmp_path} --json"
    found: dict[str, Any] = json.loads(tfew(*arguments.split(), *limits.split()))
    assert found["spec"]["method"] == "gains"
    assert found["costs"]["trained_parameters"] == 4


@pytest.fixture(scope="module")
def grid(tfew: Run, backbone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's grid, run in few steps on one task and two splits of a tiny backbone."""
    folder = tmp_path_factory.mktemp("grid")
    content = yaml.safe_load(_block("yaml"))
    content["store"] = str(folder / "records")
    content["defaults"] = {
        "backbone": str(backbone_folder),
        "recipe": {"steps": 2},
        "shots": 8,
        "evaluation": {"examples": 2, "templates": 1},
    }
    for variant in content["variants"]:
        variant["sweep"] = {"task": ["copa"], "seed": [0, 1]}
    file = folder / "gains.yaml"
    file.write_text(yaml.safe_dump(content))
    tfew("grid", str(file), "--workers", "1")
    return file


def test_a_grid_of_it_is_a_table(tfew: Run, grid: Path) -> None:
    rows = json.loads(tfew("table", str(grid), "--json"))
    assert [(row["method"], row["runs"], row["missing_runs"]) for row in rows] == [("Gains", 2, 0), ("LoRA", 2, 0)]
    assert rows[0]["trained_parameters"] == 4
    assert (rows[0]["difference"], rows[1]["difference"] is None) == (None, False)
    assert {row["paper_accuracy"] for row in rows} == {None}
    shown = tfew("table", str(grid))
    assert shown.startswith("Accuracy of the grid gains\n")
    assert "paper" not in shown


def test_it_is_on_the_leaderboard(tfew: Run, grid: Path, tmp_path: Path) -> None:
    arguments = ("--store", str(grid.parent / "records"), "--submissions", str(tmp_path / "none"))
    rows = json.loads(tfew("leaderboard", "build", *arguments, "--json"))
    assert {row["method"] for row in rows} == {"gains", "lora"}
    assert all(len(task["runs"]) == 2 for row in rows for task in row["tasks"])
    page = tmp_path / "index.html"
    tfew("leaderboard", "build", *arguments, "--out", str(page))
    assert "gains" in page.read_text(encoding="utf-8")


def test_it_takes_about_twenty_lines() -> None:
    code = [line for line in _block("python").splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(code) <= 22
