"""`tfew methods`: the ways to solve a task."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import typer

from experiments.output import JSON, Column, show_json, show_table
from experiments.quantities import rate
from tfew_pl.errors import UserError

_COLUMNS = (
    Column("name", "method"),
    Column("trains", "trains", show=lambda trains: "yes" if trains else "no"),
    Column("slotted", "slots", show=lambda slotted: "yes" if slotted else "no"),
    Column("mergeable", "merges", show=lambda mergeable: "yes" if mergeable else "no"),
    Column("steps", "steps", "right", "{:,}".format),
    Column("learning_rate", "rate", "right", rate),
    Column("summary", "what it is"),
    Column("options", "options", show=", ".join),
)
_NOTHING: dict[str, Any] = {
    "trains": False,
    "slotted": None,
    "mergeable": None,
    "options": [],
    "recipe": {},
    "steps": None,
    "learning_rate": None,
    "release": {},
    "built": "",
}
"""Of a method of which there is nothing to say."""


def rows() -> list[dict[str, Any]]:
    """A row a method: the two that train nothing, then the registered ones by name, PEFT methods before others.

    Of one whose package does not give it, `problem` says why; it is no key of the others.
    """
    from tfew_pl.registry import classifier_class, method_class, registered_classifiers, registered_methods
    from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT

    untrained = {
        ZERO_SHOT: "the backbone as it is: no example of the task is seen",
        IN_CONTEXT: "few-shot examples stand in the input, nothing is trained (Brown et al. 2020)",
    }
    return [
        *({**_NOTHING, "name": name, "summary": summary} for name, summary in untrained.items()),
        *(_usable(name, method_class, _method) for name in sorted(registered_methods())),
        *(_usable(name, classifier_class, _classifier) for name in sorted(registered_classifiers())),
    ]


def _usable(name: str, load: Callable[[str], Any], describe: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """A registered method's row; a package that cannot be used must not keep the others from being listed."""
    try:
        found = load(name)
    except UserError as error:
        return {**_NOTHING, "name": name, "trains": None, "summary": f"cannot be used: {error}", "problem": str(error)}
    return {**_NOTHING, "name": name, "trains": True, "summary": found.summary, **describe(found)}


def _method(method: Any) -> dict[str, Any]:
    from tfew_pl.recipe import Recipe

    recipe, said = Recipe(**method.recipe), method.remarks
    return {
        "slotted": method.slotted,
        "mergeable": method.mergeable,
        "options": _options(method.Config),
        "recipe": dict(method.recipe),
        "steps": recipe.steps,
        "learning_rate": recipe.learning_rate,
        "release": dict(said.release),
        "built": said.built,
    }


def _classifier(classifier: Any) -> dict[str, Any]:
    return {"options": _options(classifier.Config)}


def _options(config: type[Any]) -> list[str]:
    """Fields with their defaults; `registry` has seen to it that each has one."""

    def default(field: dataclasses.Field[Any]) -> Any:
        return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()

    return [f"{field.name}={default(field)}" for field in dataclasses.fields(config)]


def notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines under the listing: what of the paper and of the release the methods follow."""
    built: dict[str, list[str]] = {}
    for row in rows:
        built.setdefault(row["built"], []).append(row["name"])
    yield from (f"{', '.join(names)}: {line}." for line, names in built.items() if line)
    for row in rows:
        if row["release"]:
            changes = [f"{key}={rate(v) if isinstance(v, float) else v}" for key, v in row["release"].items()]
            yield f"{row['name']}: {', '.join(changes)} with --recipe release."


def command(json: JSON = False) -> None:
    """List the methods, the steps and the learning rate that each is trained with, and their options.

    Slots: several tasks or seeds in one batch. Merges: into a T5's weights, for inference at no extra cost. Steps and
    rate: the paper's. Below, what a method is built by where the paper and its released code differ.

    Examples:
        tfew methods
        tfew methods --json
    """
    listed = rows()
    if json:
        show_json(listed)
        return
    show_table(listed, _COLUMNS)
    typer.echo("\n" + "\n".join(notes(listed)))
