import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.specs import build_spec, merged, set_value
from tfew_pl.recipe import RECIPES, Recipe
from tfew_pl.spec import Evaluation, RunSpec


def test_plain_values_become_the_spec_that_the_constructors_give() -> None:
    spec, problems = build_spec(
        {
            "task": "rte",
            "seed": 1,
            "recipe": {"steps": 5, "learning_rate": 1},
            "evaluation": {"examples": 3},
            "shots": None,
        }
    )
    assert problems == []
    assert spec == RunSpec("rte", seed=1, recipe=Recipe(steps=5, learning_rate=1.0), evaluation=Evaluation(examples=3))


def test_a_number_of_another_type_makes_the_same_run() -> None:
    whole, _ = build_spec({"task": "rte", "recipe": {"learning_rate": 1}})
    text, _ = build_spec({"task": "rte", "recipe": {"learning_rate": "1e0"}})
    assert whole is not None
    assert text is not None
    assert whole.digest == text.digest == RunSpec("rte", recipe=Recipe(learning_rate=1.0)).digest


def test_off_which_yaml_reads_as_false_is_the_word_off() -> None:
    spec, problems = build_spec({"task": "rte", "recipe": {"dropout": False}})
    assert problems == []
    assert spec is not None
    assert spec.recipe.dropout == "off"


def test_a_recipe_by_name_and_ingredients_taken_out() -> None:
    spec, problems = build_spec({"task": "rte", "recipe": "release", "without": ["warmup", "unlikelihood"]})
    assert problems == []
    assert spec is not None
    assert spec.recipe.unlikelihood_form == "release"
    assert (spec.recipe.warmup_ratio, spec.recipe.unlikelihood_weight) == (0.0, 0.0)
    one, _ = build_spec({"task": "rte", "without": "warmup"})
    assert one is not None
    assert one.recipe == Recipe(warmup_ratio=0.0)


def test_a_method_sets_the_fields_of_the_recipe_that_nobody_else_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfew_pl.ia3.IA3.recipe", {"steps": 300, "learning_rate": 3e-4})
    monkeypatch.setattr(RunSpec, "method", "another")  # whose recipe is the default, and is not looked up
    spec, problems = build_spec({"task": "rte", "method": "ia3", "recipe": {"steps": 5}, "without": "warmup"})
    assert problems == []
    assert spec is not None
    assert spec.recipe == Recipe(steps=5, learning_rate=3e-4, warmup_ratio=0.0)
    named, _ = build_spec({"task": "rte", "method": "ia3", "recipe": "release"})
    assert named is not None
    assert named.recipe == Recipe(**{**vars(RECIPES["release"]), "steps": 300, "learning_rate": 3e-4})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "task: missing"),
        ({"task": "rtee"}, "task: unknown task 'rtee': did you mean rte?"),
        ({"task": 3}, "task: expected a text, not 3"),
        ({"task": "rte", "sed": 1}, "sed: unknown; did you mean seed?"),
        ({"task": "rte", "revisions": {}}, "revisions: unknown"),
        ({"task": "rte", "method": "ia33"}, "method: unknown method 'ia33'"),
        ({"task": "rte", "backbone": "pocket"}, "backbone: unknown backbone 'pocket'"),
        ({"task": "rte", "seed": 1.5}, "seed: expected a whole number, not 1.5"),
        ({"task": "rte", "seed": True}, "seed: expected a whole number, not True"),
        ({"task": "rte", "shots": 0}, "shots must be at least 1"),
        ({"task": "rte", "precision": "fp16"}, "T5's activations overflow it"),
        ({"task": "rte", "recipe": "papr"}, "did you mean paper?"),
        ({"task": "rte", "recipe": 3}, "recipe: expected fields of its own, not 3"),
        ({"task": "rte", "recipe": {"name": "papr", "steps": 3}}, "did you mean paper?"),
        ({"task": "rte", "recipe": {"name": 3}}, "recipe.name: expected the name of a recipe, not 3"),
        ({"task": "rte", "recipe": {"step": 3}}, "recipe.step: unknown; did you mean steps?"),
        ({"task": "rte", "recipe": {"learning_rate": "fast"}}, "recipe.learning_rate: expected a number"),
        ({"task": "rte", "recipe": {"learning_rate": float("nan")}}, "expected a number, not nan"),
        ({"task": "rte", "recipe": {"pretrained": "no"}}, "recipe.pretrained: expected true or false"),
        (
            {"task": "rte", "in_context": {"contexts": "x"}},
            "in_context.contexts: expected ensemble or concatenated, not 'x'",
        ),
        ({"task": "rte", "options": {"rank": [1]}}, "options: expected a text, a number or true/false for rank"),
        ({"task": "rte", "options": 1}, "options: expected names with values"),
        ({"task": "rte", "without": "warmups"}, "--without warmups: unknown ingredient"),
        ({"task": "rte", "without": [1]}, "without: expected a list of ingredients"),
    ],
)
def test_a_problem_names_its_key_and_what_would_do(values: dict[str, object], expected: str) -> None:
    spec, problems = build_spec(values)
    assert spec is None
    assert len(problems) == 1
    assert expected in problems[0]


def test_all_problems_are_found_at_once() -> None:
    _, problems = build_spec(
        {
            "task": "rtee",
            "sed": 1,
            "precision": "fp16",
            "without": ["warmups"],
            "recipe": {"steps": 0, "stepz": 1, "learning_rate": "x"},
        }
    )
    text = "\n".join(problems)
    for part in ("rtee", "sed", "fp16", "warmups", "steps must be at least 1", "stepz", "recipe.learning_rate"):
        assert part in text


def test_setting_a_field_of_a_named_recipe_keeps_its_other_fields() -> None:
    values: dict[str, object] = {"task": "rte", "recipe": "release"}
    set_value(values, "recipe.steps", 7)
    spec, problems = build_spec(values)
    assert problems == []
    assert spec is not None
    assert spec.recipe == Recipe(**{**vars(RECIPES["release"]), "steps": 7})


@pytest.mark.parametrize(
    ("method", "theirs"),
    [
        ("bitfit", {"steps": 1000, "learning_rate": 3e-4}),
        ("layernorm", {"steps": 1000, "learning_rate": 3e-4}),
        ("prefix-tuning", {"steps": 1000, "learning_rate": 1e-2}),
        ("adapter", {"steps": 500, "learning_rate": 3e-3}),
        ("ia3", {}),
    ],
)
def test_the_release_as_its_configuration_files_have_each_method(method: str, theirs: dict[str, float]) -> None:
    release = Recipe(**{**vars(RECIPES["release"]), **theirs})
    for recipe in ("release", {"name": "release"}):
        spec, problems = build_spec({"task": "rte", "method": method, "recipe": recipe})
        assert problems == []
        assert spec is not None
        assert spec.recipe == release
    values: dict[str, object] = {"task": "rte", "method": method, "recipe": "release"}
    set_value(values, "recipe.steps", 7)
    assert build_spec(values)[0] == RunSpec("rte", method=method, recipe=dataclasses.replace(release, steps=7))


def test_setting_a_field_leaves_other_holders_of_the_mapping_alone() -> None:
    shared = {"steps": 1}
    values: dict[str, object] = {"recipe": shared}
    set_value(values, "recipe.steps", 2)
    assert shared == {"steps": 1}
    assert values == {"recipe": {"steps": 2}}


_names = st.sampled_from("abc")
_values = st.recursive(st.integers(), lambda inner: st.dictionaries(_names, inner, max_size=3), max_leaves=6)
_mappings = st.dictionaries(_names, _values, max_size=3)


@given(_mappings, _mappings)
def test_merging_twice_changes_nothing_more(base: dict[str, object], changes: dict[str, object]) -> None:
    once = merged(base, changes)
    assert merged(once, changes) == once
    assert set(once) == set(base) | set(changes)
    assert merged(base, {}) == base


def test_merging_goes_into_nested_mappings() -> None:
    assert merged({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}}) == {"a": {"x": 1, "y": 3}, "b": 1}
    assert merged({"recipe": "release"}, {"recipe": {"steps": 3}}) == {"recipe": {"name": "release", "steps": 3}}
