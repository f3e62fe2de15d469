"""Tasks, their data and their few-shot splits."""

from tfew_pl.naming import look_up
from tfew_pl.spec import RunSpec
from tfew_pl.tasks.heldout import TASKS as _HELDOUT
from tfew_pl.tasks.raft import RAFT_TASKS
from tfew_pl.tasks.task import Row, Task

TASKS = {task.name: task for task in _HELDOUT}
"""The held-out tasks of T0 by name, in the order of the paper's tables."""


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    return look_up("task", name, {**TASKS, **RAFT_TASKS})


def task_of(spec: RunSpec) -> Task:
    """A run's task, as its data and options ask it.

    Raises:
        UserError: there is none of that name, or an option does not fit.
    """
    return get_task(spec.task).configured(spec.data, spec.task_options)


__all__ = ["RAFT_TASKS", "TASKS", "Row", "Task", "get_task", "task_of"]
