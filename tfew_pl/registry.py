"""The registries of methods: a package announces its own through an entry point."""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from tfew_pl.errors import UserError
from tfew_pl.naming import look_up
from tfew_pl.recipe import Recipe
from tfew_pl.remarks import Remarks
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT

if TYPE_CHECKING:  # listing methods must not wait for torch
    from tfew_pl.method import Method
    from tfew_pl.text_classifier import TextClassifier

ENTRY_POINTS = "tfew_pl.methods"
"""Entry-point group in which a package announces its PEFT methods."""
CLASSIFIERS = "tfew_pl.text_classifiers"
"""The same of text classifiers, which have a model of their own."""


def _registered(group: str) -> dict[str, EntryPoint]:
    methods: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        if methods.setdefault(point.name, point).value != point.value:
            raise UserError(f"two methods are called {point.name}: {methods[point.name].value} and {point.value}")
    return methods


@cache
def registered_methods() -> dict[str, EntryPoint]:
    """Every installed PEFT method by name; nothing is imported yet.

    Raises:
        UserError: two packages register the same name.
    """
    return _registered(ENTRY_POINTS)


@cache
def registered_classifiers() -> dict[str, EntryPoint]:
    """Every installed text classifier by name, likewise."""
    return _registered(CLASSIFIERS)


def known_methods() -> list[str]:
    """What a run's method may be: the registered ones, and the two that train nothing."""
    return [*registered_methods(), *registered_classifiers(), ZERO_SHOT, IN_CONTEXT]


def check_method(name: str) -> None:
    """Returns if a run's method may be called so.

    Raises:
        UserError: there is none of that name; the message names the nearest.
    """
    look_up("method", name, dict.fromkeys(known_methods()))


def method_class(name: str) -> "type[Method]":
    """The class of the registered PEFT method of that name, imported now.

    Raises:
        UserError: there is none (the message names the nearest), the package that announces it does not give it, or
            it does not declare what a method must.
    """
    found: type[Method] = _load(name, registered_methods())
    return found


def get_method(name: str, options: Mapping[str, Any] | None = None) -> "Method":
    """The registered PEFT method of that name.

    Raises:
        UserError: there is none (the message names the nearest), or an option does not fit.
    """
    return method_class(name)(options)


def classifier_class(name: str) -> "type[TextClassifier]":
    """The class of the registered text classifier of that name; errors as of `method_class`."""
    found: type[TextClassifier] = _load(name, registered_classifiers())
    return found


def get_classifier(name: str, options: Mapping[str, Any] | None = None) -> "TextClassifier":
    """The registered text classifier of that name; errors as of `get_method`."""
    return classifier_class(name)(options)


def _load(name: str, registered: Mapping[str, EntryPoint]) -> Any:
    point = look_up("method", name, registered)
    try:
        found = point.load()
    except Exception as error:  # a package of somebody else's may fail in any way
        what = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise UserError(f"method {name}: its entry point {point.value} cannot be imported ({what})") from error
    if problems := list(_undeclared(name, found, point.group)):
        raise UserError(f"method {name}: {point.value} is no method that can be used: {'; '.join(problems)}")
    return found


def _undeclared(name: str, found: Any, group: str) -> Iterator[str]:
    """What keeps a registered class from being used."""
    base: type
    if group == ENTRY_POINTS:
        from tfew_pl.method import Method

        base = Method
    else:
        from tfew_pl.text_classifier import TextClassifier

        base = TextClassifier
    if not (isinstance(found, type) and issubclass(found, base)):
        yield f"it is no subclass of {base.__module__}.{base.__name__}"
        return
    own = getattr(found, "name", None)
    if own != name:
        yield f"its entry point is called {name} and its `name` is {own!r}: give both one name"
    summary = getattr(found, "summary", None)
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        yield "it has no `summary` of one line"
    yield from _config_problems(getattr(found, "Config", None))
    yield from _recipe_problems(found)
    if abstract := sorted(getattr(found, "__abstractmethods__", ())):
        yield f"it does not define {', '.join(abstract)}"


def _config_problems(config: Any) -> Iterator[str]:
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        yield "its `Config` is no dataclass"
        return
    missing = dataclasses.MISSING
    for field in dataclasses.fields(config):
        if field.default is missing and field.default_factory is missing:
            yield f"its `Config` has no default for {field.name}"


def _recipe_problems(found: Any) -> Iterator[str]:
    if not isinstance(said := getattr(found, "remarks", Remarks()), Remarks):
        yield f"its `remarks` are no {Remarks.__module__}.{Remarks.__name__}"
        return
    for values in (getattr(found, "recipe", {}), said.release):
        try:
            Recipe(**values)
        except (TypeError, UserError) as error:
            yield f"{values!r} are no fields of a recipe ({error})"
