"""The generated held-out tasks as files in the schemas of the real datasets."""

import json

from tfew_pl.pocket import heldout
from tfew_pl.tasks import get_task


def contents(split: heldout.Split) -> dict[str, bytes]:
    """Every held-out task, as `--data` takes a folder.

    Args:
        split: what stands where the real dataset has its evaluation split.

    Returns:
        Path of a file in the folder -> its JSON lines: the training split, and the one asked for.
    """
    files: dict[str, bytes] = {}
    for name in heldout.TASKS:
        hub = get_task(name).hub
        sources: dict[str, heldout.Split] = {hub.train_split: "train", hub.evaluation_split: split}
        for target, source in sources.items():
            lines = (json.dumps(row) + "\n" for row in heldout.rows(name, source))
            files[f"{name}/{target}.jsonl"] = "".join(lines).encode()
    return files
