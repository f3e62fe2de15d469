"""Which examples stand in a context, and in which order."""

import random

import pytest

from tfew_pl.errors import UserError
from tfew_pl.icl.contexts import build_contexts, demonstration, query_limit
from tfew_pl.prompts import Template
from tfew_pl.spec import InContext

TEXTS = ["a", "bb", "ccc", "dddd"]
CONCATENATED = InContext(contexts="concatenated")


def test_a_demonstration_shows_input_and_answer() -> None:
    template = Template("b", "is it {{ premise }} ||| {{ answer_choices[label] }}", "true ||| false")
    assert demonstration(template, {"premise": "cat", "label": 1}, random.Random(0)) == "is it cat\nfalse\n\n"


def test_a_demonstration_needs_a_target() -> None:
    template = Template("b", "{% if label == 0 %} {{ premise }} ||| yes {% endif %}", "yes ||| no")
    with pytest.raises(UserError, match="'b' has no target for a few-shot example"):
        demonstration(template, {"premise": "cat", "label": 1}, random.Random(0))


def test_an_ensemble_has_an_example_a_context() -> None:
    assert build_contexts(TEXTS, InContext(), 99, len) == [("a",), ("bb",), ("ccc",), ("dddd",)]
    assert build_contexts(TEXTS, InContext(), 2, len) == [("a",), ("bb",)]


def test_a_concatenated_context_leaves_out_the_last_that_do_not_fit() -> None:
    assert build_contexts(TEXTS, CONCATENATED, 99, len) == [tuple(TEXTS)]
    assert build_contexts(TEXTS, CONCATENATED, 9, len) == [("a", "bb", "ccc")]
    assert build_contexts(TEXTS, CONCATENATED, 6, len) == [("a", "bb", "ccc")]
    assert build_contexts(TEXTS, CONCATENATED, 5, len) == [("a", "bb")]


@pytest.mark.parametrize(("settings", "found"), [(InContext(), [("bb",), ("c",)]), (CONCATENATED, [("bb", "c")])])
def test_an_example_longer_than_the_room_is_left_out(settings: InContext, found: list[tuple[str, ...]]) -> None:
    assert build_contexts(["dddd", "bb", "c"], settings, 3, len) == found


def test_a_query_is_cut_to_the_task_s_input_or_to_what_an_example_leaves() -> None:
    assert query_limit(256, 1024, 100) == 256
    assert query_limit(256, 300, 100) == 200
    assert query_limit(256, 300, 290) == 150


def test_orders_are_drawn_from_their_seed() -> None:
    orders = [build_contexts(TEXTS, InContext("concatenated", order=seed), 99, len)[0] for seed in range(12)]
    assert all(sorted(order) == TEXTS for order in orders)
    assert len(set(orders)) > 5
    assert orders[3] == build_contexts(TEXTS, InContext("concatenated", order=3), 99, len)[0]


@pytest.mark.parametrize("settings", [InContext(), CONCATENATED])
def test_nothing_fits(settings: InContext) -> None:
    with pytest.raises(UserError, match=r"shortest has 2 tokens, .* room for 1; raise in_context.tokens"):
        build_contexts(["bb", "ccc"], settings, 1, len)
