"""`tfew tasks`: the tasks."""

from typing import TYPE_CHECKING, Any

from experiments.output import JSON, Column, show_json, show_table

if TYPE_CHECKING:
    from tfew_pl.tasks.task import Task

_COLUMNS = (
    Column("name", "task"),
    Column("title", "in tables"),
    Column("family", "family"),
    Column("choices", "choices", "right"),
    Column("chance", "chance", "right", lambda share: f"{100 * share:.1f}"),
    Column("shots", "shots", "right"),
    Column("templates", "templates", "right"),
    Column("hub", "on the hub"),
)


def rows() -> list[dict[str, Any]]:
    """A row a task, in the order of the paper's tables: the held-out ones, then RAFT's."""
    from tfew_pl.tasks import RAFT_TASKS, TASKS

    return [
        {
            "name": task.name,
            "title": task.title,
            "family": task.family,
            "choices": task.choices,
            "chance": task.chance,
            "shots": task.shots,
            "templates": len(task.templates()),
            "hub": _hub(task),
        }
        for task in (*TASKS.values(), *RAFT_TASKS.values())
    ]


def _hub(task: "Task") -> str | None:
    """Where it is on the hub; None if it is not given out there."""
    if task.hub.by_hand:
        return None
    return f"{task.hub.id} ({task.hub.config})" if task.hub.config else task.hub.id


def command(json: JSON = False) -> None:
    """List the tasks.

    Examples:
        tfew tasks
        tfew tasks --json
    """
    if json:
        show_json(rows())
    else:
        show_table(rows(), _COLUMNS)
