"""Small records, for tests of where records are kept."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from tfew_pl.record import Costs, RunRecord
from tfew_pl.spec import RunSpec


def _made(spec: RunSpec, accuracy: float = 0.5, adaptation: bytes | None = b"vectors") -> RunRecord:
    """A record of two templates, with an adaptation that is none."""
    predictions = pd.DataFrame(
        {"template": [0, 0, 1], "example": [0, 70_000, 0], "gold": [0, 1, 2], "predicted": [2, 1, 0]}
    )
    losses = pd.DataFrame({"step": [20, 40], "lm": [1.5, 0.1], "unlikelihood": [float("nan"), 0.2],
                           "length_norm": [0.25, 1 / 3]})  # fmt: skip
    values: dict[str, Any] = dict.fromkeys(Costs.__dataclass_fields__, 3)
    return RunRecord(spec, {"a": accuracy, "b": 1 / 3}, predictions, losses, Costs(**values), {"device": "cpu"},
                     adaptation)  # fmt: skip


@pytest.fixture(name="made", scope="session")
def record_maker() -> Callable[..., RunRecord]:
    """Makes a record of a spec: of two templates, with an adaptation that is none."""
    return _made
