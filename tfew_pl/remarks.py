"""What there is to say of a method where the paper, its released code and the method here are not the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Remarks:
    """Declared by a method's class as `remarks`; by default there is nothing to say."""

    release: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe that the released code sets otherwise than the method's `recipe`: what `--recipe release`
    takes in their place."""
    built: str = ""
    """What it is built by where the paper's text and the release differ, and where it departs from both; a line for
    `tfew methods`."""
    counted: str = ""
    """What its parameters are where the paper counts others; a line for `tfew params`, of T0-3B."""
