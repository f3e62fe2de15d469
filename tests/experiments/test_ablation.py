from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.ablation import FULL, ablation_grid, grid_text, removable
from experiments.grid import load_grid
from tfew_pl.recipe import INGREDIENTS, Recipe, without
from tfew_pl.spec import RunSpec

Tfew = Callable[..., Any]


def test_each_ingredient_is_taken_away_alone(tfew: Tfew, tmp_path: Path) -> None:
    file = tmp_path / "ablation.yaml"
    result = tfew("ablate", "--out", str(file), "--task", "rte", "--task", "cb", "--seed", "0")
    assert result.code == 0
    assert file.read_text().splitlines()[0] == f"# tfew grid {file}"
    specs = load_grid(file, resolved=lambda spec: spec).variants()
    assert list(specs) == [FULL, *(f"Without {name}" for name in INGREDIENTS)]
    for name, of_variant in specs.items():
        expected = Recipe() if name == FULL else without(Recipe(), name.removeprefix("Without "))
        assert of_variant == [RunSpec(task, seed=0, recipe=expected) for task in ("rte", "cb")]


def test_a_recipe_method_and_steps_of_one_s_own(tfew: Tfew, tmp_path: Path) -> None:
    file = tmp_path / "lora.yaml"
    flags = ["--method", "lora", "--recipe", "release", "--steps", "7", "--without", "warmup"]
    assert tfew("ablate", "--out", str(file), *flags).code == 0
    specs = load_grid(file, resolved=lambda spec: spec).variants()
    assert "Without warmup" not in specs, "it is taken out everywhere"
    assert "Without pretraining" not in specs, "LoRA has none"
    for of_variant in specs.values():
        assert len(of_variant) == 11 * 5
        assert {(s.method, s.recipe.steps, s.recipe.dropout, s.recipe.warmup_ratio) for s in of_variant} == {
            ("lora", 7, "checkpoint", 0.0)
        }
    assert len({spec.digest for of_variant in specs.values() for spec in of_variant}) == len(specs) * 55


def test_what_changes_nothing_is_not_taken_away() -> None:
    assert removable(RunSpec("rte")) == list(INGREDIENTS)
    gone = RunSpec("rte", recipe=without(Recipe(), "unlikelihood", "clipping"))
    assert removable(gone) == [n for n in INGREDIENTS if n not in ("unlikelihood", "unlikelihood-eos", "clipping")]


def test_without_a_file_the_grid_is_printed(tfew: Tfew) -> None:
    assert tfew("ablate", "--task", "rte").out == grid_text(ablation_grid({}, ["rte"], "official"), "tfew grid FILE")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method", "zero-shot"], "trains nothing"),
        (["--without", "warmpu"], "unknown ingredient"),
        (["--recipe", "papre"], "did you mean paper"),
    ],
)
def test_errors_are_one_line(tfew: Tfew, flags: list[str], message: str) -> None:
    result = tfew("ablate", *flags)
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert message in result.err


def test_a_file_that_cannot_be_written(tfew: Tfew, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = tfew("ablate", "--out", str(tmp_path / "file" / "a.yaml"))
    assert result.code == 2
    assert result.err.startswith(f"tfew: cannot write {tmp_path / 'file' / 'a.yaml'}: ")
    assert result.err.count("\n") == 1
