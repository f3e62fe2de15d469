"""The README's method of one's own: its package, as it stands there, is listed, counted and trained."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


def test_it_takes_about_twenty_lines() -> None:
    code = [line for line in _block("python").splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(code) <= 22
