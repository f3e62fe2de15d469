import dataclasses
import json
from typing import Any

import pytest

from tfew_pl.errors import UserError
from tfew_pl.recipe import Recipe
from tfew_pl.spec import Evaluation, InContext, Revisions, RunSpec

CHANGES: list[dict[str, Any]] = [
    {"task": "cb"},
    {"backbone": "pocket-lm"},
    {"method": "lora"},
    {"method": "zero-shot"},
    {"method": "in-context"},
    {"seed": 1024},
    {"options": {"rank": 8}},
    {"data": "hub"},
    {"shots": 8},
    {"evaluation": Evaluation(examples=10)},
    {"evaluation": Evaluation(templates=2)},
    {"precision": "bf16"},
    {"revisions": Revisions(backbone="a")},
    {"task_options": {"variant": "release"}},
    {"evaluation": Evaluation(fold=0)},
    {"evaluation": Evaluation(fold=4)},
    {"revisions": Revisions(data="a")},
    {"revisions": Revisions(initial="a")},
]


def test_every_field_with_influence_changes_the_digest() -> None:
    recipes: list[dict[str, Any]] = []
    for field in dataclasses.fields(Recipe):
        value = getattr(Recipe(), field.name)
        other: Any = {"paper": "release", "off": "checkpoint"}.get(value) if isinstance(value, str) else None
        if isinstance(value, bool):
            other = not value
        elif isinstance(value, int | float):
            other = value / 2 if field.name == "warmup_ratio" else value + 1
        recipes.append({"recipe": Recipe(**{field.name: other})})
    specs = [RunSpec(task="rte"), *(RunSpec(**{"task": "rte", **change}) for change in [*CHANGES, *recipes])]
    assert len(recipes) == len(dataclasses.fields(Recipe))
    assert len({spec.digest for spec in specs}) == len(specs)


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("zero-shot", {"seed": 1}),
        ("zero-shot", {"shots": 4}),
        ("zero-shot", {"recipe": Recipe(steps=3, unlikelihood_weight=0.0)}),
        ("zero-shot", {"options": {"rank": 3}}),
        ("in-context", {"recipe": Recipe(learning_rate=1.0)}),
        ("in-context", {"in_context": InContext(order=3)}),  # an ensemble has no order
        ("zero-shot", {"in_context": InContext("concatenated")}),
    ],
)
def test_fields_without_influence_leave_the_digest_alone(method: str, change: dict[str, Any]) -> None:
    assert RunSpec(**{"task": "rte", "method": method, **change}).digest == RunSpec("rte", method=method).digest


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("in-context", {"seed": 1}),
        ("in-context", {"shots": 4}),
        ("in-context", {"in_context": InContext("concatenated")}),
        ("in-context", {"in_context": InContext(combine="mean")}),
        ("in-context", {"in_context": InContext(tokens=512)}),
        ("in-context", {"in_context": InContext(calibrated=True)}),
        ("in-context", {"in_context": InContext(query="decoder")}),
        ("zero-shot", {"recipe": Recipe(length_normalized_ranking=False)}),
    ],
)
def test_what_untrained_runs_still_depend_on(method: str, change: dict[str, Any]) -> None:
    assert RunSpec(**{"task": "rte", "method": method, **change}).digest != RunSpec("rte", method=method).digest


def test_what_is_left_out_depends_on_the_split() -> None:
    """A run without training looks at no few-shot example, unless it is measured on some of them."""
    specs = [
        RunSpec("rte", method="zero-shot", evaluation=Evaluation(fold=1), **change)
        for change in ({}, {"seed": 1}, {"shots": 20})
    ]
    assert len({spec.digest for spec in specs}) == 3
    assert "seed 42, part 2 of 5 left out" in specs[0].label()


def test_a_concatenated_context_has_an_order_and_nothing_to_combine() -> None:
    def digest(**settings: Any) -> str:
        return RunSpec("rte", method="in-context", in_context=InContext("concatenated", **settings)).digest

    assert digest() == digest(combine="mean")
    assert len({digest(), digest(order=0), digest(order=1)}) == 3


def test_a_batch_that_is_not_divided_is_the_run_that_it_was() -> None:
    assert "accumulate" not in RunSpec("rte").identity()["recipe"]
    digests = {RunSpec("rte", recipe=Recipe(accumulate=parts)).digest for parts in (1, 2, 4)}
    assert len(digests) == 3
    old = {"task": "rte", "recipe": {key: value for key, value in vars(Recipe()).items() if key != "accumulate"}}
    assert RunSpec.from_json(old) == RunSpec("rte")


def test_in_context_learning_by_default_is_the_run_that_it_was() -> None:
    # Before there was anything to set, its identity held this one field.
    assert RunSpec("rte", method="in-context").identity()["in_context"] == {"contexts": "ensemble"}


def test_order_of_options_does_not_matter() -> None:
    first, second = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert RunSpec("rte", options=first).digest == RunSpec("rte", options=second).digest


def test_numbers_that_are_equal_are_one_run() -> None:
    """A grid may say 1 where the default is 1.0."""
    assert Recipe(gradient_clip=1) == Recipe()
    assert RunSpec("rte", recipe=Recipe(gradient_clip=1)).digest == RunSpec("rte").digest


def test_digest_is_sixteen_hexadecimal_digits() -> None:
    digest = RunSpec("rte").digest
    assert len(digest) == 16
    assert int(digest, 16) >= 0


@pytest.mark.parametrize("change", CHANGES)
def test_round_trip_through_json(change: dict[str, Any]) -> None:
    spec = RunSpec(**{"task": "rte", "recipe": Recipe(steps=7), "in_context": InContext(), **change})
    again = RunSpec.from_json(json.loads(json.dumps(dataclasses.asdict(spec))))
    assert again == spec
    assert again.digest == spec.digest


@pytest.mark.parametrize("precision", ["fp16", "float16"])
def test_float16_is_refused_with_the_reason(precision: Any) -> None:
    with pytest.raises(UserError, match=r"fp32 or bf16, .*not .*16: T5's activations overflow it"):
        RunSpec("rte", precision=precision)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RunSpec("rte", precision="fp64"),  # type: ignore[arg-type]
        lambda: RunSpec("rte", shots=0),
        lambda: Evaluation(examples=0),
        lambda: Evaluation(templates=-1),
        lambda: Evaluation(fold=-1),
        lambda: Evaluation(fold=5),
        lambda: InContext(tokens=0),
        lambda: InContext(order=-1),
    ],
)
def test_impossible_values(make: Any) -> None:
    with pytest.raises(UserError):
        make()


def test_trains() -> None:
    assert [RunSpec("rte", method=m).trains for m in ("ia3", "zero-shot", "in-context")] == [True, False, False]


def test_label_leaves_out_a_seed_without_influence() -> None:
    assert "seed 42" in RunSpec("rte").label()
    assert "seed" not in RunSpec("rte", method="zero-shot").label()


def test_the_longest_input() -> None:
    assert InContext().longest_input(256, None) == 1024
    assert InContext().longest_input(700, None) == 1400
    assert InContext(tokens=300).longest_input(256, None) == 300
    assert InContext().longest_input(256, 512) == 512
