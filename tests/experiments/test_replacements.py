"""What the command line puts in the place of a grid's inputs."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import experiments
from experiments.grid import Grid, load_grid
from experiments.replacements import Replaced
from tfew_pl.spec import RunSpec

GRIDS = Path(experiments.__file__).parent / "grids"
HEAD = "name: test\ndescription: A test.\n"
Loader = Callable[[str, Replaced], Grid]


def as_it_is(spec: RunSpec) -> RunSpec:
    return spec


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    def write_and_load(text: str, replaced: Replaced) -> Grid:
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        return load_grid(path, replaced=replaced, resolved=as_it_is)

    return write_and_load


OVERRIDES = (
    HEAD
    + """
defaults: {backbone: pocket-t0}
partners: {t0-3b: {pocket-lm: t5-lm-xl}}
variants:
  - {name: A, task: rte}
  - {name: B, task: rte, backbone: pocket-lm}
  - {name: C, task: rte, backbone: pocket-random}
"""
)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (None, ["pocket-t0", "pocket-lm", "pocket-random"]),
        ("t0-3b", ["t0-3b", "t5-lm-xl", "pocket-random"]),
        ("google/t5-small", ["google/t5-small", "pocket-lm", "pocket-random"]),
    ],
)
def test_a_backbone_replaces_the_default_and_its_partner_follows(
    load: Loader, backbone: str | None, expected: list[str]
) -> None:
    grid = load(OVERRIDES, Replaced(backbone))
    assert [run.spec.backbone for run in grid.runs] == expected


def test_vectors_are_of_the_default_backbone_alone_and_of_runs_that_start_from_them(load: Loader) -> None:
    content = """
variants:
  - {name: A, task: rte}
  - {name: B, task: rte, without: [pretraining]}
  - {name: C, task: rte, method: lora}
  - {name: D, task: rte, method: zero-shot}
  - {name: E, task: rte, backbone: pocket-lm}
  - {name: F, task: cb, initial: own}
"""
    for backbone in (None, "t0-3b"):
        grid = load(HEAD + content, Replaced(backbone, initial=Path("vectors")))
        assert [run.spec.initial for run in grid.runs] == ["vectors", None, None, None, None, "own"]


def test_a_precision_is_not_one_of_text_classifiers(load: Loader) -> None:
    rows = "variants: [{name: A, task: ade_corpus_v2}, {name: B, task: ade_corpus_v2, method: setfit}]"
    grid = load(HEAD + rows, Replaced(precision="bf16"))
    assert [run.spec.precision for run in grid.runs] == ["bf16", "fp32"]


@pytest.mark.parametrize("grid", sorted(GRIDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_grid_runs_on_other_inputs(grid: Path) -> None:
    replaced = Replaced("t0-3b", "hub", "bf16", Path("vectors"))
    runs = load_grid(grid, replaced=replaced, resolved=as_it_is).runs
    assert {run.spec.data for run in runs} == {"hub"}
    assert all(run.spec.initial == "vectors" for run in runs if run.spec.recipe.pretrained and run.spec.method == "ia3")


@pytest.mark.parametrize(("key", "value"), [("backbone", "t0-3b"), ("data", "hub"), ("precision", "bf16")])
def test_what_replaces_nothing_is_remarked(load: Loader, key: str, value: str) -> None:
    rows = "variants: [{name: A, task: rte, backbone: pocket-lm, data: here, precision: int8}"
    replaced = Replaced(**{key: value})
    (remark,) = load(HEAD + rows + "]", replaced).remarks
    assert re.fullmatch(rf"--{key} {value} replaces nothing: no variant uses the default {key} (pocket.*|fp32)", remark)
    assert load(HEAD + rows + ", {name: B, task: rte}]", replaced).remarks == ()
    assert load(HEAD + rows + "]", Replaced()).remarks == ()


def test_data_replace_the_default_data_even_where_the_grid_names_none(load: Loader) -> None:
    grid = load(OVERRIDES, Replaced(data="hub"))
    assert {run.spec.data for run in grid.runs} == {"hub"}
    assert [run.spec.backbone for run in grid.runs] == ["pocket-t0", "pocket-lm", "pocket-random"]
