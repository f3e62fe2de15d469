"""A RunSpec from plain values, as grid files and the command line give them; all problems found at once."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, get_type_hints

from tfew_pl import backbones
from tfew_pl.conversion import convert, words
from tfew_pl.errors import UserError
from tfew_pl.naming import look_up
from tfew_pl.recipe import RECIPES, RELEASE, Recipe, without
from tfew_pl.registry import check_method, classifier_class, method_class, registered_classifiers, registered_methods
from tfew_pl.spec import RunSpec
from tfew_pl.tasks import get_task

WITHOUT = "without"
"""Key that takes ingredients out of the recipe."""
NAME = "name"
"""Key of a recipe's fields: the named recipe whose fields hold where none is given; `recipe: release` is short for
`recipe: {name: release}`."""
_FILLED_IN = "revisions"


def spec_keys() -> list[str]:
    """What plain values may set: the fields of a RunSpec that a person chooses, and `without`."""
    return [field.name for field in dataclasses.fields(RunSpec) if field.name != _FILLED_IN] + [WITHOUT]


def build_spec(values: Mapping[str, Any]) -> tuple[RunSpec | None, list[str]]:
    """The spec that plain values describe, and what is wrong with them.

    Args:
        values: fields of a RunSpec, nested ones as mappings; `recipe` may be the name of a recipe, or have one among
            its fields; `without` is an ingredient or a list of them.

    Returns:
        The spec, or None where there are problems; and the problems, each of which names its key.
    """
    values = dict(values)
    problems: list[str] = []
    ingredients = values.pop(WITHOUT, [])
    if isinstance(ingredients, str):
        ingredients = [ingredients]
    if not isinstance(ingredients, list) or not all(isinstance(i, str) for i in ingredients):
        problems.append(f"{WITHOUT}: expected a list of ingredients, not {ingredients!r}")
        ingredients = []
    recipe = _take_recipe(values, problems)
    if "task" not in values:
        problems.append("task: missing")
    _check_names(values, problems)
    if not problems:
        try:
            values = merged(_defaults(values, recipe), values)
        except UserError as error:
            problems.append(str(error))
    built = _build(RunSpec, values, "", problems)
    spec = built if isinstance(built, RunSpec) else None
    for ingredient in ingredients:
        try:
            changed = without(Recipe() if spec is None else spec.recipe, ingredient)
        except UserError as error:
            problems.append(str(error))
        else:
            spec = None if spec is None else dataclasses.replace(spec, recipe=changed)
    return (None if problems else spec), problems


def _take_recipe(values: dict[str, Any], problems: list[str]) -> str | None:
    """The name of the recipe of a spec's values, which keep its other fields; None where they name none."""
    if not isinstance(fields := _recipe_fields(values.get("recipe")), Mapping) or NAME not in fields:
        return None
    values["recipe"] = {key: value for key, value in fields.items() if key != NAME}
    name = fields[NAME]
    try:
        if isinstance(name, str):
            look_up("recipe", name, RECIPES)
            return name
        problems.append(f"recipe.{NAME}: expected the name of a recipe, not {name!r}")
    except UserError as error:
        problems.append(f"recipe: {error}")
    return None


def _recipe_fields(recipe: Any) -> Any:
    """A named recipe as fields; anything else as it is."""
    return {NAME: recipe} if isinstance(recipe, str) else recipe


def _defaults(values: Mapping[str, Any], recipe: str | None) -> dict[str, Any]:
    """What the method, the task and a named recipe set where a spec's values say nothing."""
    method = values.get("method", RunSpec.method)
    named = {} if recipe is None else named_recipe(recipe, method)
    if _is_classifier(method):
        return {"backbone": classifier_class(method).backbone, "recipe": named}
    return {"recipe": {**method_recipe(method), **named, **task_recipe(values)}}


def method_recipe(name: str) -> dict[str, Any]:
    """The fields of the recipe that a method sets where nobody else does.

    The recipe's own defaults are those of RunSpec's method, which is therefore not imported, and torch with it.
    """
    return {} if name == RunSpec.method or name not in registered_methods() else dict(method_class(name).recipe)


def named_recipe(name: str, method: str) -> dict[str, Any]:
    """The fields that a named recipe sets: those in which it differs from the default, and `release` a method's own."""
    recipe, default = dataclasses.asdict(RECIPES[name]), dataclasses.asdict(Recipe())
    fields = {key: value for key, value in recipe.items() if value != default[key]}
    if name != RELEASE or method == RunSpec.method or method not in registered_methods():
        return fields
    return {**fields, **method_class(method).remarks.release}


def task_recipe(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the recipe that the task of a spec's values sets; explicit values alone win over them.

    Raises:
        UserError: an option of the task does not fit.
    """
    task, data, options = values["task"], values.get("data", RunSpec.data), values.get("task_options", {})
    if not (isinstance(task, str) and isinstance(options, Mapping)):
        return {}  # which is said elsewhere
    return dict(get_task(task).configured(data, options).recipe)


def set_value(values: dict[str, Any], path: str, value: Any) -> None:
    """Sets a field by its path, such as `recipe.steps`; mappings on the way are copied, or made.

    A named recipe on the way becomes a mapping with its name.
    """
    head, _, rest = path.partition(".")
    if not rest:
        values[head] = value
        return
    inner = values.get(head, {})
    if head == "recipe":
        inner = _recipe_fields(inner)
    values[head] = inner = dict(inner) if isinstance(inner, Mapping) else {}
    set_value(inner, rest, value)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the changes; nested mappings are merged field by field."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        if key == "recipe":
            inner = _recipe_fields(inner)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            result[key] = merged(inner, value)
        else:
            result[key] = value
    return result


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a key that is not known: the nearest ones, or all."""
    known = list(known)
    near = get_close_matches(key, known, n=3, cutoff=0.5)
    return f"unknown; did you mean {' or '.join(near)}?" if near else f"unknown; there are {', '.join(known)}"


def _is_classifier(method: object) -> bool:
    return isinstance(method, str) and method in registered_classifiers()


def _check_names(values: Mapping[str, Any], problems: list[str]) -> None:
    checks: dict[str, Callable[[str], object]] = {"task": get_task, "method": check_method}
    if not _is_classifier(values.get("method")):  # whose encoders are no such backbones
        checks["backbone"] = backbones.resolve
    for key, check in checks.items():
        if isinstance(values.get(key), str):
            try:
                check(values[key])
            except UserError as error:
                problems.append(f"{key}: {error}")


def _build(kind: type, values: Mapping[str, Any], path: str, problems: list[str]) -> object | None:
    hints = _hints(kind)
    known = [f.name for f in dataclasses.fields(kind) if f.name != _FILLED_IN]
    converted: dict[str, Any] = {"task": ""} if kind is RunSpec else {}
    for key, value in values.items():
        place = f"{path}{key}"
        if key not in known:
            problems.append(f"{place}: {unknown_key(str(key), spec_keys() if kind is RunSpec else known)}")
        elif dataclasses.is_dataclass(hints[key]):
            if isinstance(value, Mapping):
                nested = _build(hints[key], value, f"{place}.", problems)
                if nested is not None:
                    converted[key] = nested
            else:
                problems.append(f"{place}: expected fields of its own, not {value!r}")
        else:
            try:
                converted[key] = convert(value, hints[key])
            except ValueError as error:
                problems.append(f"{place}: {error}")
    try:
        built = kind(**converted)
    except UserError as error:
        problems.append(str(error))
        return None
    # After the class's own checks: where it refuses a word, it says why.
    problems += [
        f"{path}{key}: expected {' or '.join(map(str, words(hints[key])))}, not {value!r}"
        for key, value in converted.items()
        if words(hints[key]) and value is not None and value not in words(hints[key])
    ]
    return built


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
