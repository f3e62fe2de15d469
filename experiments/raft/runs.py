"""The runs of a RAFT method: one a task, or one for each part of the training examples that is left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.specs import build_spec, set_value
from tfew_pl.errors import UserError
from tfew_pl.hub import HubUnreachableError
from tfew_pl.naming import look_up
from tfew_pl.registry import registered_classifiers
from tfew_pl.resolve import resolve
from tfew_pl.spec import FOLDS, RunSpec
from tfew_pl.tasks import RAFT_TASKS


def raft_specs(tasks: Sequence[str], fields: Mapping[str, Any], *, leave_out: bool = False) -> list[RunSpec]:
    """The resolved specs, by task and part.

    Args:
        tasks: names of RAFT tasks; all of them if empty.
        fields: of a RunSpec by path, such as `recipe.steps`; the task's option `variant`, where it is `release`,
            brings the release's recipe with it, save for a text classifier.
        leave_out: leave each part of the training examples out in turn, and measure on it.

    Raises:
        UserError: something is wrong; the message lists every problem once.
    """
    problems: list[str] = []
    specs = []
    if fields.get("task_options.variant") == "release" and fields.get("method") not in registered_classifiers():
        fields = {"recipe": "release", **fields}
    for task in tasks or RAFT_TASKS:
        look_up("RAFT task", task, RAFT_TASKS)
        for fold in range(FOLDS) if leave_out else (None,):
            values: dict[str, Any] = {"task": task}
            for path, value in fields.items():
                set_value(values, path, value)
            if fold is not None:
                set_value(values, "evaluation.fold", fold)
            spec, found = build_spec(values)
            problems += found
            if spec is not None:
                try:
                    specs.append(resolve(spec))
                except HubUnreachableError:
                    raise
                except UserError as error:
                    problems.append(str(error))
    if problems:
        raise UserError("; ".join(dict.fromkeys(problems)))
    return specs
