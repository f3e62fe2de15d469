"""P3 prompt templates (Bach et al. 2022), read from promptsource as data and rendered in a sandbox.

promptsource's own code is never imported: its YAML is read with a safe loader, its Jinja runs in an
immutable sandbox. What a template renders is what `promptsource.templates.Template.apply` renders.
"""

import importlib.util
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import jinja2
import jinja2.meta
import jinja2.nodes
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tfew_pl.errors import UserError

SEPARATOR = "|||"
FIELD_LENGTH = 2048
"""Characters of a rendered expression that are kept (promptsource's TEXT_VAR_LENGTH)."""

_PROTECTED_SEPARATOR = "\x1f\x1f\x1f"
_generator: ContextVar[random.Random] = ContextVar("generator")


@jinja2.pass_context  # without it Jinja draws from a constant list once, at compile time
def _choice(_context: jinja2.runtime.Context, options: Sequence[Any]) -> Any:
    return _generator.get().choice(list(options))


def _most_frequent(items: Sequence[Any]) -> list[Any] | None:
    if not items:
        return None
    counts = Counter(items).most_common()
    return [item for item, count in counts if count == counts[0][1]]


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    environment.globals.update(zip=zip)
    environment.filters.update(choice=_choice, random=_choice, most_frequent=_most_frequent)
    return environment


_ENVIRONMENT = _environment()


@dataclass(frozen=True)
class Prompt:
    """An example seen through a template."""

    input: str
    target: str
    choices: tuple[str, ...] | None
    """The answer choices to rank; None for an open-ended template."""


class PromptTemplate(Protocol):
    """What an example can be seen through."""

    @property
    def name(self) -> str:
        """Unique within its task."""

    @property
    def is_random(self) -> bool:
        """Whether two renderings of one example may differ."""

    def render(self, example: Mapping[str, Any], generator: random.Random) -> Prompt | None:
        """Renders an example; a template that draws at random draws from the generator.

        Returns:
            The prompt, or None where the template has no target for this example.

        Raises:
            UserError: the example does not fit the template.
        """


@dataclass(frozen=True)
class Template:
    """A P3 template: Jinja for "input ||| target", and Jinja for the answer choices.

    Args:
        name: unique within its dataset.
        source: the template itself.
        answer_choices_source: choices separated by "|||"; None for an open-ended template.
        original_task: whether the template asks for the dataset's own task.
        choices_in_prompt: whether the input lists the choices.
        cuts_fields: whether every expression is cut to `FIELD_LENGTH`, as promptsource does it.
    """

    name: str
    source: str
    answer_choices_source: str | None
    original_task: bool = True
    choices_in_prompt: bool = False
    cuts_fields: bool = True

    @cached_property
    def is_random(self) -> bool:
        """Whether two renderings of one example may differ."""
        nodes = (_parse(self.name, source) for source in (self.source, self.answer_choices_source or ""))
        return any(f.name in ("choice", "random") for n in nodes for f in n.find_all(jinja2.nodes.Filter))

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Names that the template mentions and does not set itself, and Jinja's own such as `range`."""
        parsed = [_parse(self.name, source) for source in (self.source, self.answer_choices_source or "")]
        names = {node.name for each in parsed for node in each.find_all(jinja2.nodes.Name)}
        own = names & _ENVIRONMENT.globals.keys()
        return frozenset(own).union(*map(jinja2.meta.find_undeclared_variables, parsed))

    @cached_property
    def fields(self) -> frozenset[str]:
        """Names of the example's fields that the template mentions."""
        return self.mentioned - {"answer_choices", *_ENVIRONMENT.globals}

    @cached_property
    def tested(self) -> frozenset[str]:
        """Names of the fields by which the template decides what to say."""
        parsed = _parse(self.name, self.source)
        tests = [node.test for node in parsed.find_all(jinja2.nodes.If)]
        tests += [node.test for node in parsed.find_all(jinja2.nodes.CondExpr)]
        # Below one node: a test may itself be a name, and a walk leaves out the node that it starts from.
        return frozenset(name.name for name in jinja2.nodes.Output(tests).find_all(jinja2.nodes.Name))

    @cached_property
    def _body(self) -> jinja2.Template:
        # promptsource cuts every expression in the same textual way, so that odd templates come out alike.
        cut = f" | string | truncate({FIELD_LENGTH}) }}}}" if self.cuts_fields else "}}"
        return _compile(self.name, self.source.replace("}}", cut))

    @cached_property
    def _choices(self) -> jinja2.Template | None:
        return None if self.answer_choices_source is None else _compile(self.name, self.answer_choices_source)

    def render(self, example: Mapping[str, Any], generator: random.Random) -> Prompt | None:
        """Renders an example.

        Args:
            example: the dataset's fields.
            generator: decides wherever the template itself draws at random.

        Returns:
            The prompt, or None where the template has no target for this example.

        Raises:
            UserError: the example lacks a field, or the template does what the sandbox forbids.
        """
        fields: dict[str, Any] = {
            key: value.replace(SEPARATOR, _PROTECTED_SEPARATOR) if isinstance(value, str) else value
            for key, value in example.items()
        }
        with _drawing_from(generator), _explained(self.name, example):
            choices = None
            if self._choices is not None:
                choices = tuple(_restore(choice) for choice in self._choices.render(fields).split(SEPARATOR))
                fields["answer_choices"] = list(choices)
            parts = [_restore(part) for part in self._body.render(fields).split(SEPARATOR)]
        if len(parts) < 2 or not parts[1]:
            return None
        return Prompt(parts[0], parts[1], choices)


def _restore(text: str) -> str:
    return text.replace(_PROTECTED_SEPARATOR, SEPARATOR).strip()


def _parse(name: str, source: str) -> jinja2.nodes.Template:
    try:
        return _ENVIRONMENT.parse(source)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"template {name!r}, line {error.lineno}: {error.message}") from error


def _compile(name: str, source: str) -> jinja2.Template:
    _parse(name, source)
    return _ENVIRONMENT.from_string(source)


@contextmanager
def _drawing_from(generator: random.Random) -> Iterator[None]:
    token = _generator.set(generator)
    try:
        yield
    finally:
        _generator.reset(token)


@contextmanager
def _explained(name: str, example: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except jinja2.exceptions.SecurityError as error:
        raise UserError(f"template {name!r}: {error}: templates run in a sandbox") from error
    except jinja2.UndefinedError as error:
        known = ", ".join(sorted(example))
        raise UserError(f"template {name!r}: {error.message}; the example has the fields {known}") from error
    except (TypeError, ValueError, LookupError, ArithmeticError, OverflowError) as error:
        raise UserError(f"template {name!r} cannot be rendered: {type(error).__name__}: {error}") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that reads promptsource's two tags as plain mappings."""


for _tag in ("!Template", "!TemplateMetadata"):
    _Loader.add_constructor(_tag, lambda loader, node: loader.construct_mapping(node, deep=True))


def templates_folder() -> Path:
    """The folder of promptsource's templates.

    Raises:
        UserError: promptsource is not installed.
    """
    spec = importlib.util.find_spec("promptsource")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "promptsource is not installed: run `make setup`, or "
            "`pip install --no-deps --ignore-requires-python promptsource==0.2.3`"
        )
    return Path(spec.submodule_search_locations[0]) / "templates"


@cache
def _load(folder: Path) -> tuple[Template, ...]:
    path = folder / "templates.yaml"
    if not path.is_file():
        raise UserError(f"promptsource has no templates for {folder.relative_to(templates_folder())}")
    with path.open(encoding="utf-8") as file:
        entries = yaml.load(file, Loader=_Loader)["templates"].values()
    templates = [
        Template(
            name=entry["name"],
            source=entry["jinja"],
            answer_choices_source=entry["answer_choices"],
            original_task=bool(entry["metadata"].get("original_task")),
            choices_in_prompt=bool(entry["metadata"].get("choices_in_prompt")),
        )
        for entry in entries
    ]
    return tuple(sorted(templates, key=lambda template: template.name))


def load_templates(dataset: str, subset: str | None = None) -> list[Template]:
    """The P3 templates of a dataset, sorted by name as promptsource's `all_template_names`.

    Raises:
        UserError: promptsource is missing or has no templates for this dataset.
    """
    folder = templates_folder() / dataset
    return list(_load(folder / subset if subset else folder))
