"""Looking a name up, and answering an unknown one with the nearest."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from tfew_pl.errors import UserError

T = TypeVar("T")


def look_up(kind: str, name: str, known: Mapping[str, T]) -> T:
    """The entry of that name.

    Raises:
        UserError: there is none; the message names the nearest ones, or all.
    """
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    all_of_them = f"there are {', '.join(known)}" if known else "none is installed; run `make setup`"
    hint = f"did you mean {' or '.join(near)}?" if near else all_of_them
    raise UserError(f"unknown {kind} {name!r}: {hint}")
