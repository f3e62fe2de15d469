"""`tfew data fetch`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfew_pl.tasks import RAFT_TASKS, TASKS

Tfew = Callable[..., Any]


def test_every_dataset_is_counted_and_what_is_got_by_hand_is_said(tfew: Tfew, downloaded: Path) -> None:
    found = {row["task"]: row for row in json.loads(tfew("data", "fetch", "--json").out)}
    assert list(found) == [*TASKS, *RAFT_TASKS]
    for name, row in found.items():
        if name in RAFT_TASKS:
            assert (row["train"], row["evaluation"], row["revision"]) == (50, 6, "refs/convert/parquet")
        elif name == "story_cloze":
            assert row["train"] is None
            assert "--data-root" in row["note"]
        else:
            assert (row["train"], row["evaluation"], row["note"]) == (80, 6, None)
            assert row["revision"] == TASKS[name].hub.revision
    shown = tfew("data", "fetch").out
    assert "super_glue (rte)" in shown
    assert "3de24cf" in shown


def test_one_that_the_hub_does_not_give_out_is_an_error_if_asked_for(tfew: Tfew) -> None:
    result = tfew("data", "fetch", "story_cloze")
    assert (result.code, result.out) == (2, "")
    assert "ask its authors" in result.err


def test_without_a_download_it_is_one_line(tfew: Tfew) -> None:
    result = tfew("data", "fetch", "rte")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("tfew: task rte: aps/super_glue at 3de24cf")
    assert result.err.count("\n") == 1
