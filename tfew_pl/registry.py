"""The registry of PEFT methods: a package announces its own through an entry point."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from tfew_pl.errors import UserError
from tfew_pl.naming import look_up

if TYPE_CHECKING:  # listing methods must not wait for torch
    from tfew_pl.method import Method

ENTRY_POINTS = "tfew_pl.methods"
"""Entry-point group in which a package announces its methods."""


@lru_cache(maxsize=1)
def registered_methods() -> dict[str, EntryPoint]:
    """Every installed method by name; nothing is imported yet.

    Raises:
        UserError: two packages register the same name.
    """
    methods: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINTS):
        if methods.setdefault(point.name, point).value != point.value:
            raise UserError(f"two methods are called {point.name}: {methods[point.name].value} and {point.value}")
    return methods


def method_class(name: str) -> "type[Method]":
    """The class of the registered method of that name, imported now.

    Raises:
        UserError: there is none (the message names the nearest), or the package that announces it does not give it.
    """
    point = look_up("method", name, registered_methods())
    try:
        found: type[Method] = point.load()
    except (ImportError, AttributeError) as error:
        raise UserError(f"method {name}: its entry point {point.value} cannot be imported ({error})") from error
    return found


def get_method(name: str, options: Mapping[str, Any] | None = None) -> "Method":
    """The registered method of that name.

    Raises:
        UserError: there is none (the message names the nearest), or an option does not fit.
    """
    return method_class(name)(options)
