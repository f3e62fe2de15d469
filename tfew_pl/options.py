"""Options of a method: fields of its configuration, by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from tfew_pl.conversion import convert, words
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
            converted[name] = convert(value, hints[name])
            admitted = words(hints[name])
            if admitted and converted[name] is not None and converted[name] not in admitted:
                raise ValueError(f"expected {' or '.join(map(str, admitted))}, not {value!r}")
        except ValueError as error:
            raise UserError(f"method {method}, option {name}: {error}") from error
        except TypeError:  # of a type that the class must see to by itself
            converted[name] = value
    try:
        return kind(**converted)
    except UserError as error:
        raise UserError(f"method {method}, option {error}") from error
