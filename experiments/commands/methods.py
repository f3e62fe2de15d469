"""`tfew methods`: the ways to solve a task."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

from experiments.output import JSON, Column, show_json, show_table
from experiments.quantities import rate

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


def rows() -> list[dict[str, Any]]:
    """A row a method: the two that train nothing, then the registered ones by name, PEFT methods before others."""
    import dataclasses

    from tfew_pl.recipe import Recipe
    from tfew_pl.registry import classifier_class, method_class, registered_classifiers, registered_methods
    from tfew_pl.remarks import remarks
    from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT

    untrained = {
        ZERO_SHOT: "the backbone as it is: no example of the task is seen",
        IN_CONTEXT: "few-shot examples stand in the input, nothing is trained (Brown et al. 2020)",
    }
    nothing: dict[str, Any] = {"trains": False, "slotted": None, "mergeable": None, "options": [], "recipe": {}}
    nothing |= {"steps": None, "learning_rate": None, "release": {}, "built": ""}
    listed: list[dict[str, Any]] = [
        {"name": name, "summary": summary, **nothing} for name, summary in untrained.items()
    ]

    def options(config: type[Any]) -> list[str]:
        return [f"{field.name}={field.default}" for field in dataclasses.fields(config)]

    for name in sorted(registered_methods()):
        method = method_class(name)
        recipe, said = Recipe(**method.recipe), remarks(method)
        listed.append(
            {
                "name": name,
                "summary": method.summary,
                "trains": True,
                "slotted": method.slotted,
                "mergeable": method.mergeable,
                "options": options(method.Config),
                "recipe": dict(method.recipe),
                "steps": recipe.steps,
                "learning_rate": recipe.learning_rate,
                "release": dict(said.release),
                "built": said.built,
            }
        )
    for name in sorted(registered_classifiers()):
        own = classifier_class(name)
        listed.append({**nothing, "name": name, "summary": own.summary, "trains": True, "options": options(own.Config)})
    return listed


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
