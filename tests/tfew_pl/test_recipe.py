import dataclasses
from typing import Any

import pytest

from tfew_pl.errors import UserError
from tfew_pl.recipe import INGREDIENTS, RECIPES, Recipe, without


def test_defaults_are_the_papers() -> None:
    recipe = Recipe()
    assert (recipe.steps, recipe.batch_size, recipe.learning_rate, recipe.warmup_ratio) == (1000, 8, 3e-3, 0.06)
    assert recipe.warmup_steps == 60
    assert (recipe.lm_weight, recipe.unlikelihood_weight, recipe.length_norm_weight) == (1, 1, 1)
    assert recipe.gradient_clip == 1
    assert recipe.scale_parameter
    assert recipe.pretrained


def test_release_differs_in_what_the_issue_lists() -> None:
    paper, release = dataclasses.asdict(RECIPES["paper"]), dataclasses.asdict(RECIPES["release"])
    changed = {name: value for name, value in release.items() if value != paper[name]}
    assert changed == {"unlikelihood_form": "release", "dropout": "checkpoint", "drop_last": True}


@pytest.mark.parametrize("ingredient", INGREDIENTS)
def test_without_changes_the_named_ingredient_only(ingredient: str) -> None:
    before, after = dataclasses.asdict(Recipe()), dataclasses.asdict(without(Recipe(), ingredient))
    changed = {name: value for name, value in after.items() if value != before[name]}
    assert changed == INGREDIENTS[ingredient]


def test_without_several() -> None:
    recipe = without(Recipe(), "unlikelihood", "length-norm")
    assert (recipe.lm_weight, recipe.unlikelihood_weight, recipe.length_norm_weight) == (1, 0, 0)


def test_unknown_ingredient() -> None:
    with pytest.raises(UserError, match="--without salt: unknown ingredient; there are lm, unlikelihood"):
        without(Recipe(), "salt")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch_size": -1}, "batch_size must be at least 1"),
        ({"warmup_ratio": 1.0}, "warmup_ratio must lie in"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"gradient_clip": -1.0}, "gradient_clip must be positive"),
        ({"lm_weight": -1.0}, "weights must not be negative"),
        ({"lm_weight": 0.0, "unlikelihood_weight": 0.0, "length_norm_weight": 0.0}, "one must be positive"),
        ({"unlikelihood_form": "other"}, "'paper' or 'release', not 'other'"),
        ({"dropout": "on"}, "'off' or 'checkpoint', not 'on'"),
    ],
)
def test_impossible_recipes(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe(**values)


def test_all_problems_at_once() -> None:
    with pytest.raises(UserError, match=r"steps.*batch_size.*warmup_ratio"):
        Recipe(steps=0, batch_size=0, warmup_ratio=2.0)
