import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from tfew_pl import registry
from tfew_pl.errors import UserError
from tfew_pl.ia3 import IA3
from tfew_pl.method import Method
from tfew_pl.remarks import Remarks


@pytest.fixture
def _fresh() -> Iterator[None]:
    registry.registered_methods.cache_clear()
    yield
    registry.registered_methods.cache_clear()


def _announce(patch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in points]
    patch.setattr(registry, "entry_points", lambda *, group: found if group == registry.ENTRY_POINTS else [])


def test_ia3_is_registered() -> None:
    assert isinstance(registry.get_method("ia3"), IA3)


def test_every_method_carries_the_name_it_is_registered_under() -> None:
    for name, point in registry.registered_methods().items():
        assert point.load().name == name
        assert point.load().summary


def test_unknown_method_answers_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown method 'ia33': did you mean ia3"):
        registry.get_method("ia33")


@pytest.mark.usefixtures("_fresh")
def test_collision_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _announce(monkeypatch, ("ia3", "a:B"), ("ia3", "c:D"))
    with pytest.raises(UserError, match="two methods are called ia3: a:B and c:D"):
        registry.registered_methods()


@pytest.mark.usefixtures("_fresh")
def test_the_same_announcement_twice_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    _announce(monkeypatch, ("ia3", "a:B"), ("ia3", "a:B"))
    assert list(registry.registered_methods()) == ["ia3"]


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize("value", ["no_such_package.module:Thing", "tfew_pl.ia3:Thing"])
def test_an_entry_point_that_leads_nowhere_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _announce(monkeypatch, ("mine", value))
    with pytest.raises(UserError, match=f"method mine: its entry point {value} cannot be imported"):
        registry.get_method("mine")


def _package(patch: pytest.MonkeyPatch, **members: object) -> None:
    """A module `theirs` of somebody else's."""
    module = ModuleType("theirs")
    vars(module).update(members)
    patch.setitem(sys.modules, "theirs", module)


@dataclass(frozen=True)
class _Complete:
    start: float = 1.0


@dataclass(frozen=True)
class _Incomplete:
    start: float


class _Sound(IA3):
    name, summary, Config = "mine", "a method of one's own", _Complete


@pytest.mark.usefixtures("_fresh")
def test_a_package_that_fails_in_any_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name == "theirs":
                raise RuntimeError("no GPU here")

    monkeypatch.setattr(sys, "meta_path", [Failing(), *sys.meta_path])
    _announce(monkeypatch, ("mine", "theirs:Gains"))
    with pytest.raises(
        UserError, match=r"method mine: its entry point theirs:Gains cannot be imported \(RuntimeError: no GPU here\)"
    ):
        registry.get_method("mine")


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "lora"}, "its entry point is called mine and its `name` is 'lora': give both one name"),
        ({"summary": ""}, "no `summary` of one line"),
        ({"summary": "two\nlines"}, "no `summary` of one line"),
        ({"summary": None}, "no `summary` of one line"),
        ({"Config": dict}, "its `Config` is no dataclass"),
        ({"Config": _Incomplete}, "its `Config` has no default for start"),
        ({"build": Method.build}, "it does not define build"),
        ({"recipe": {"step": 3}}, "{'step': 3} are no fields of a recipe"),
        ({"recipe": {"steps": 0}}, "steps must be at least 1"),
        ({"remarks": "none"}, "its `remarks` are no tfew_pl.remarks.Remarks"),
        ({"remarks": Remarks(release={"rate": 1})}, "{'rate': 1} are no fields of a recipe"),
    ],
)
def test_a_class_that_does_not_declare_what_it_must_is_refused(
    changes: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(monkeypatch, Sound=_Sound, Faulty=type("Faulty", (_Sound,), changes), function=lambda: None)
    _announce(monkeypatch, ("mine", "theirs:Faulty"))
    with pytest.raises(UserError, match="method mine: theirs:Faulty is no method that can be used: ") as caught:
        registry.get_method("mine")
    assert message in str(caught.value)


@pytest.mark.usefixtures("_fresh")
def test_a_sound_class_is_taken_and_what_is_no_method_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _package(monkeypatch, Sound=_Sound, function=lambda: None)
    _announce(monkeypatch, ("mine", "theirs:Sound"), ("other", "theirs:function"))
    assert registry.get_method("mine").config == _Complete()
    with pytest.raises(UserError, match=r"it is no subclass of tfew_pl\.method\.Method"):
        registry.get_method("other")
