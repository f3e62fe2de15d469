"""`tfew methods`: the ways to solve a task."""

from typing import Any

from experiments.output import JSON, Column, show_json, show_table

_COLUMNS = (
    Column("name", "method"),
    Column("trains", "trains", show=lambda trains: "yes" if trains else "no"),
    Column("slotted", "slots", show=lambda slotted: "yes" if slotted else "no"),
    Column("mergeable", "merges", show=lambda mergeable: "yes" if mergeable else "no"),
    Column("summary", "what it is"),
    Column("options", "options", show=", ".join),
)


def rows() -> list[dict[str, Any]]:
    """A row a method: the two that train nothing, then the registered ones by name, PEFT methods before others."""
    import dataclasses

    from tfew_pl.registry import classifier_class, method_class, registered_classifiers, registered_methods
    from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT

    untrained = {
        ZERO_SHOT: "the backbone as it is: no example of the task is seen",
        IN_CONTEXT: "few-shot examples stand in the input, nothing is trained (Brown et al. 2020)",
    }
    nothing: dict[str, Any] = {"trains": False, "slotted": None, "mergeable": None, "options": [], "recipe": {}}
    listed: list[dict[str, Any]] = [
        {"name": name, "summary": summary, **nothing} for name, summary in untrained.items()
    ]

    def options(config: type[Any]) -> list[str]:
        return [f"{field.name}={field.default}" for field in dataclasses.fields(config)]

    for name in sorted(registered_methods()):
        method = method_class(name)
        listed.append(
            {
                "name": name,
                "summary": method.summary,
                "trains": True,
                "slotted": method.slotted,
                "mergeable": method.mergeable,
                "options": options(method.Config),
                "recipe": dict(method.recipe),
            }
        )
    for name in sorted(registered_classifiers()):
        own = classifier_class(name)
        listed.append({**nothing, "name": name, "summary": own.summary, "trains": True, "options": options(own.Config)})
    return listed


def command(json: JSON = False) -> None:
    """List the methods and their options.

    Slots: several tasks or seeds in one batch. Merges: into a T5's weights, for inference at no extra cost.

    Examples:
        tfew methods
        tfew methods --json
    """
    if json:
        show_json(rows())
    else:
        show_table(rows(), _COLUMNS)
