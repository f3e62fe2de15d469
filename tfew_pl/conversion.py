"""Plain values, as YAML, JSON and the command line give them, as a dataclass's fields ask for them."""

import math
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d{1,2}")


def convert(value: object, hint: Any) -> Any:
    """A value as its field's type asks for it.

    YAML reads `3e-3` as text and `off` as false; both are mended here. Whether a word is one of those that
    its field admits is left to the caller.

    Raises:
        ValueError: it does not fit; the message says what would.
        TypeError: the field is of a type that plain values do not have.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if _is_union(hint) and NoneType in arguments:
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
    if hint not in names:
        raise TypeError(f"{hint} is no type of a plain value")
    if not isinstance(value, hint):
        raise ValueError(f"expected {names[hint]}, not {value!r}")
    return value


def words(hint: Any) -> tuple[Any, ...]:
    """The words that a field admits; none where it admits others, too."""
    of_union = [words(one) for one in get_args(hint) if one is not NoneType] if _is_union(hint) else []
    return get_args(hint) if get_origin(hint) is Literal else next(iter(of_union), ())


def scalar(value: object) -> object:
    """A value with texts such as `1e-3`, which YAML does not take for numbers, as numbers; `"7"` stays a text."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _number(value: object) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):  # the second of a whole number that is too large
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
