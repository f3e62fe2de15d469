"""Plain values, as YAML, JSON and the command line give them, as a dataclass's fields ask for them."""

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def convert(value: object, hint: Any) -> Any:
    """A value as its field's type asks for it.

    YAML reads `3e-3` as text and `off` as false; both are mended here. Whether a word is one of those that
    its field admits is left to the caller.

    Raises:
        ValueError: it does not fit; the message says what would.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and NoneType in arguments:
        if value is None:
            return None
        (rest,) = (argument for argument in arguments if argument is not NoneType)
        return convert(value, rest)
    if origin is Literal:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _scalars(value)
    if hint is float:
        return _number(value)
    if hint is int and isinstance(value, bool):
        raise ValueError(f"expected a whole number, not {value!r}")
    names = {int: "a whole number", bool: "true or false", str: "a text"}
    if hint in names and not isinstance(value, hint):
        raise ValueError(f"expected {names[hint]}, not {value!r}")
    return value


def scalar(value: object) -> object:
    """A value with texts such as `1e-3`, which YAML does not take for numbers, as numbers."""
    if isinstance(value, str):
        try:
            return _number(value)
        except ValueError:
            return value
    return value


def _number(value: object) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError(f"expected a number, not {value!r}")


def _scalars(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected names with values, not {value!r}")
    for name, inner in value.items():
        if not isinstance(name, str) or not isinstance(inner, str | int | float | bool):
            raise ValueError(f"expected a text, a number or true/false for {name}, not {inner!r}")
    return {name: scalar(inner) for name, inner in value.items()}
