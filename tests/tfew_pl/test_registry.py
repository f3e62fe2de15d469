from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from tfew_pl import registry
from tfew_pl.errors import UserError
from tfew_pl.ia3 import IA3


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
