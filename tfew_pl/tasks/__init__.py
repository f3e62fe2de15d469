"""Tasks, their data and their few-shot splits."""

from tfew_pl.naming import look_up
from tfew_pl.tasks.heldout import TASKS as _HELDOUT
from tfew_pl.tasks.task import Row, Task

TASKS = {task.name: task for task in _HELDOUT}
"""Every task by name, in the order of the paper's tables."""


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    return look_up("task", name, TASKS)


__all__ = ["TASKS", "Row", "Task", "get_task"]
