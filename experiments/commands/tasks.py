"""`tfew tasks`: the tasks."""

from typing import Any

from experiments.output import JSON, Column, show_json, show_table

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
            "hub": f"{task.hub.id} ({task.hub.config})" if task.hub.config else task.hub.id,
        }
        for task in (*TASKS.values(), *RAFT_TASKS.values())
    ]


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
