"""RAFT (Alex et al. 2021): eleven real classification tasks with 50 training examples each."""

from tfew_pl.tasks.raft.catalog import TASKS
from tfew_pl.tasks.raft.task import RaftTask

RAFT_TASKS: dict[str, RaftTask] = {task.name: task for task in TASKS}
"""The RAFT tasks by name, in the order of the paper's Table 11."""

__all__ = ["RAFT_TASKS", "RaftTask"]
