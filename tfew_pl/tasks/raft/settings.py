"""RAFT's official prompt settings: a file of two lines of JSON, the fields of every task and its instructions."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tfew_pl.errors import UserError


@dataclass(frozen=True)
class PromptSettings:
    """What the official baselines show of an example, and what they say before it."""

    fields: Mapping[str, tuple[str, ...]]
    """Columns by task, in the order in which they are shown."""
    instructions: Mapping[str, str]
    digest: str
    """Of the file."""


@lru_cache(maxsize=4)
def read_settings(path: Path) -> PromptSettings:
    """Reads such a file, `raft_prompt_construction_settings.jsonl` in the release.

    Raises:
        UserError: it cannot be read, or is something else; the message names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    if len(lines) != 2:
        raise UserError(
            f"{path}: {len(lines)} lines of JSON, expected two: the fields by task, the instructions by task"
        )
    fields, instructions = (_object(path, number, line) for number, line in lines)
    for task, names in fields.items():
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise UserError(f"{path}, line {lines[0][0]}: task {task}: expected a list of fields, not {names!r}")
    for task, text in instructions.items():
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{path}, line {lines[1][0]}: task {task}: expected an instruction, not {text!r}")
    return PromptSettings(
        {task: tuple(names) for task, names in fields.items()},
        {task: text.strip() for task, text in instructions.items()},
        hashlib.sha256(content).hexdigest()[:16],
    )


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}, line {number}: expected an object by task, not a {type(value).__name__}")
    return value
