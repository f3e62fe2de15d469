"""Options of methods: each of its field's type, before anything is built of it."""

import dataclasses
from typing import Any, Literal

import pytest

from experiments.specs import build_spec
from tfew_pl.conversion import scalar
from tfew_pl.errors import UserError
from tfew_pl.options import configure
from tfew_pl.registry import get_method


@dataclasses.dataclass(frozen=True)
class Settings:
    """One field of each type that methods have, or somebody's may have."""

    rank: int = 1
    scale: float = 0.5
    norms: bool = True
    text: str = ""
    rule: Literal["own", "shared"] | None = "own"
    most: int | None = None
    sizes: tuple[int, ...] = ()


def test_values_take_their_fields_type() -> None:
    found = configure(Settings, "mine", {"scale": "1e-3", "most": 4, "norms": False, "text": "x", "sizes": (1, 2)})
    assert found == Settings(scale=0.001, most=4, norms=False, text="x", sizes=(1, 2))
    assert isinstance(configure(Settings, "mine", {"scale": 1}).scale, float)
    assert configure(Settings, "mine", None) == Settings()
    assert configure(Settings, "mine", {"rule": None}).rule is None
    with pytest.raises(UserError, match="method mine, option rule: expected own or shared, not 'theirs'"):
        configure(Settings, "mine", {"rule": "theirs"})


def test_a_text_of_digits_stays_one() -> None:
    """As a grid's file or the command line gives it, in quotes."""
    given, problems = build_spec({"task": "rte", "method": "prefix-tuning", "options": {"input_text": "7"}})
    assert not problems
    assert given is not None
    assert get_method("prefix-tuning", given.options).config.input_text == "7"
    assert [scalar(text) for text in ("1e-3", "7", ".5E2", "1e", "nan", "e5")] == [0.001, "7", 50.0, "1e", "nan", "e5"]


@pytest.mark.parametrize(
    ("method", "option", "value", "reason"),
    [
        ("lora", "rank", "abc", "expected a whole number, not 'abc'"),
        ("lora", "rank", 2.5, "expected a whole number, not 2.5"),
        ("lora", "rank", True, "expected a whole number, not True"),
        ("lora", "init_scale", "wide", "expected a number, not 'wide'"),
        ("lora", "layer_norms", "false", "expected true or false, not 'false'"),
        ("prefix-tuning", "input_text", 7, "expected a text, not 7"),
        ("compacter", "rule", "theirs", "expected own or shared, not 'theirs'"),
    ],
)
def test_what_is_of_another_type_is_refused(method: str, option: str, value: Any, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        get_method(method, {option: value})
    assert str(caught.value) == f"method {method}, option {option}: {reason}"


def test_unknown_options_are_named() -> None:
    with pytest.raises(UserError, match="method lora has no option width; it has init_scale, layer_norms, rank"):
        get_method("lora", {"width": 3})
