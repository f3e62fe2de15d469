"""`tfew methods` and `tfew params` with packages of somebody else's, good and bad ones beside ours."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pytest

from tfew_pl import registry
from tfew_pl.ia3 import IA3
from tfew_pl.registry import registered_methods

Tfew = Callable[..., Any]


@dataclass(frozen=True)
class _Config:
    layers: list[int] = field(default_factory=lambda: [1, 2])


class _Good(IA3):
    name, summary, Config = "good", "a method of one's own", _Config


class _Nameless(_Good):
    summary = ""


class _Mistaken(_Good):
    name = "lora"


class _Unbuilt(_Good):
    name = "unbuilt"

    def build(self, *_: Any, **__: Any) -> Any:
        raise IndexError("no such layer")


@pytest.fixture(autouse=True)
def _theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ours, and the entry points of a package `theirs`."""
    module = ModuleType("theirs")
    vars(module).update(Good=_Good, Nameless=_Nameless, Mistaken=_Mistaken, Unbuilt=_Unbuilt)
    monkeypatch.setitem(sys.modules, "theirs", module)
    values = {"absent": "no_such_package:Gone", "good": "theirs:Good", "nameless": "theirs:Nameless"}
    values |= {"mygain": "theirs:Mistaken", "unbuilt": "theirs:Unbuilt"}
    added = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in values.items()]

    def both(*, group: str) -> list[EntryPoint]:
        return [*entry_points(group=group), *(added if group == registry.ENTRY_POINTS else [])]

    registry.registered_methods.cache_clear()
    monkeypatch.setattr(registry, "entry_points", both)
    yield
    registry.registered_methods.cache_clear()


def test_what_cannot_be_used_is_a_row_with_the_reason(tfew: Tfew) -> None:
    rows = {row["name"]: row for row in json.loads(tfew("methods", "--json").out)}
    assert {"ia3", "lora", "good", *registered_methods()} <= set(rows)
    assert [name for name, row in rows.items() if "problem" in row] == ["absent", "mygain", "nameless"]
    assert "cannot be imported (No module named 'no_such_package')" in rows["absent"]["problem"]
    assert "its entry point is called mygain and its `name` is 'lora'" in rows["mygain"]["problem"]
    assert (rows["good"]["options"], rows["good"]["trains"]) == (["layers=[1, 2]"], True)
    assert rows["lora"]["summary"].startswith("LoRA: ")
    shown = tfew("methods")
    assert shown.code == 0
    assert "cannot be used: method nameless: theirs:Nameless" in shown.out


def test_the_others_are_counted_under_their_own_names(tfew: Tfew) -> None:
    found = json.loads(tfew("params", "--backbone", "t5-small", "--json").out)
    assert found["good"] == found["ia3"]
    assert found["lora"]["trainable"] > 300_000, "not what calls itself so"
    assert {name for name, numbers in found.items() if "problem" in numbers} == {
        "absent",
        "mygain",
        "nameless",
        "unbuilt",
    }
    assert found["unbuilt"]["problem"] == "method unbuilt: IndexError: no such layer"
    assert found["absent"]["trainable"] is None
    shown = tfew("params", "--backbone", "t5-small")
    assert shown.code == 0
    assert "Not counted: method unbuilt: IndexError: no such layer\n" in shown.out


def test_one_that_is_asked_for_is_an_error(tfew: Tfew) -> None:
    result = tfew("params", "--backbone", "t5-small", "--method", "mygain")
    assert result.code == 2
    assert result.err.startswith("tfew: method mygain: theirs:Mistaken is no method that can be used: ")
