"""Options of a method: fields of its configuration, by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tfew_pl.conversion import convert
from tfew_pl.errors import UserError


def configure(kind: type, method: str, options: Mapping[str, Any] | None) -> Any:
    """A method's configuration, a frozen dataclass, with the options in the place of its defaults.

    Raises:
        UserError: it has no such option, a value is not of the field's type, or its class refuses it.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(options or {}) - known)
    if unknown:
        raise UserError(
            f"method {method} has no option {', '.join(unknown)}; it has {', '.join(sorted(known)) or 'none'}"
        )
    hints = get_type_hints(kind) if options else {}
    converted = {}
    for name, value in (options or {}).items():
        try:
            converted[name] = _checked(value, hints[name])
        except ValueError as error:
            raise UserError(f"method {method}, option {name}: {error}") from error
    return kind(**converted)


def _checked(value: object, hint: Any) -> object:
    found: object = convert(value, hint)
    if get_origin(hint) is Literal and found not in get_args(hint):
        raise ValueError(f"expected {' or '.join(map(str, get_args(hint)))}, not {value!r}")
    return found
