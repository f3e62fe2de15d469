"""Options of a method: fields of its configuration, by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfew_pl.errors import UserError


def configure(kind: type, method: str, options: Mapping[str, Any] | None) -> Any:
    """A method's configuration, a frozen dataclass, with the options in the place of its defaults.

    Raises:
        UserError: it has no such option, or its class refuses a value.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(options or {}) - known)
    if unknown:
        raise UserError(
            f"method {method} has no option {', '.join(unknown)}; it has {', '.join(sorted(known)) or 'none'}"
        )
    return kind(**(options or {}))
