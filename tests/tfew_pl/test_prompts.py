import importlib
import random
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tfew_pl.errors import UserError
from tfew_pl.prompts import FIELD_LENGTH, Template, load_templates, templates_folder
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.data import load_data


@pytest.fixture(scope="module")
def promptsource() -> Iterator[types.ModuleType]:
    """promptsource's own module; the setuptools module that it wants for one path is stubbed."""
    stub = types.ModuleType("pkg_resources")
    stub.resource_filename = lambda *_: str(templates_folder())  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pkg_resources", stub)
        yield importlib.import_module("promptsource.templates")


def _entries(promptsource: types.ModuleType, folder: Path) -> dict[str, Any]:
    text = (folder / "templates.yaml").read_text(encoding="utf-8")
    entries = yaml.load(text, Loader=yaml.FullLoader)["templates"]
    return {entry.name: entry for entry in entries.values()}


def _rows(task: str) -> list[dict[str, Any]]:
    """Pocket rows, and one of odd texts: long, with white space at the ends, with separators and braces."""
    rows = [dict(row) for row in load_data(task, "pocket").evaluation[:8]]
    odd = dict(rows[0])
    for number, (key, value) in enumerate(rows[0].items()):
        if key in ("label", "answer", "question") or not isinstance(value, str):
            continue
        # A cut moves with the length of what protects a separator, so that long texts here have none.
        odd[key] = f"  {value} " + ("é{{ x }}|||z\n" if number % 2 else "long words " * 300)
    return [*rows, odd]


@pytest.mark.parametrize("task", TASKS)
def test_every_template_renders_as_promptsource_renders_it(task: str, promptsource: types.ModuleType) -> None:
    dataset, subset = TASKS[task].templates_of
    theirs = _entries(promptsource, templates_folder() / dataset / (subset or ""))
    ours = load_templates(dataset, subset)
    assert [t.name for t in ours] == sorted(theirs)
    state = random.getstate()
    try:
        for template in ours:
            reference = theirs[template.name]
            assert template.original_task == bool(reference.metadata.original_task)
            for seed, row in enumerate(_rows(task)):
                random.seed(seed)
                parts = reference.apply(row)
                random.seed(seed)
                choices = reference.get_answer_choices_list(row)
                prompt = template.render(row, random.Random(seed))
                if len(parts) < 2 or not parts[1]:
                    assert prompt is None
                    continue
                assert prompt is not None
                assert [prompt.input, prompt.target] == parts[:2]
                assert prompt.choices == (None if choices is None else tuple(choices))
    finally:
        random.setstate(state)


def _render(source: str, choices: str | None = None, **row: Any) -> tuple[str, str]:
    prompt = Template("t", source, choices).render(row, random.Random(0))
    assert prompt is not None
    return prompt.input, prompt.target


def test_fields_are_stripped_and_cut() -> None:
    text, target = _render("  {{ a }} ||| {{ b }}  ", a="x" * 3000, b=" y ")
    assert len(text) == FIELD_LENGTH == 2048
    assert target == "y"


def test_choices_are_stripped_and_not_cut() -> None:
    prompt = Template("t", "q ||| {{ answer_choices[0][:3] }}", " {{ a }} |||  no ").render(
        {"a": "x" * 3000}, random.Random(0)
    )
    assert prompt is not None
    assert prompt.choices == ("x" * 3000, "no")


def test_separator_in_a_field_does_not_split() -> None:
    assert _render("{{ a }} ||| {{ b }}", a="one ||| two", b="three") == ("one ||| two", "three")
    prompt = Template("t", "q ||| {{ b }}", "{{ a }}|||no").render({"a": "x|||y", "b": "z"}, random.Random(0))
    assert prompt is not None
    assert prompt.choices == ("x|||y", "no")


def test_template_without_target_gives_no_prompt() -> None:
    template = Template("t", "{% if a %} {{ a }} ||| yes {% endif %}", "yes ||| no")
    assert template.render({"a": ""}, random.Random(0)) is None
    assert template.render({"a": "b"}, random.Random(0)) is not None


@pytest.mark.parametrize(
    "expression",
    [
        "a.__class__",
        "a.__class__.__mro__",
        "''.__class__.__base__.__subclasses__()",
        "cycler.__init__.__globals__",
        "zip.__self__",
        "a.append(3)",
        "'{0.__class__}'.format(a)",
        "range(10 ** 9) | list",
        "self.__init__.__globals__",
    ],
)
def test_sandbox_refuses(expression: str) -> None:
    with pytest.raises(UserError, match="template 'evil'"):
        Template("evil", "{{ " + expression + " }} ||| yes", None).render({"a": [1]}, random.Random(0))


@pytest.mark.parametrize("statement", ["{% import 'os' as os %}", "{% include '/etc/passwd' %}"])
def test_sandbox_loads_nothing(statement: str) -> None:
    with pytest.raises(UserError, match="template 'evil'"):
        Template("evil", statement + "a ||| b", None).render({}, random.Random(0))


def test_missing_field_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"'hypothesis' is undefined.*fields idx, premise$"):
        _render("{{ premise }} {{ hypothesis }} ||| yes", premise="a", idx=0)


def test_syntax_error_names_the_template_and_the_line() -> None:
    with pytest.raises(UserError, match="template 't', line 2"):
        _render("a\n{% if %} ||| b")


def test_error_within_a_template_is_explained() -> None:
    with pytest.raises(UserError, match="template 't' cannot be rendered: ZeroDivisionError"):
        _render("{% set b = 1 / a %}{{ b }} ||| c", a=0)


def test_fields_leaves_out_what_the_template_makes() -> None:
    source = "{{ a }} {% for x in b %}{{ x }}{% endfor %} {{ zip(c) | list }} ||| {{ answer_choices[label] }}"
    template = Template("t", source, "{{ d }} ||| no")
    assert template.fields == {"a", "b", "c", "d", "label"}


@pytest.mark.parametrize("drawing", ["choice", "random"])
def test_drawing_uses_the_generator_only(drawing: str) -> None:
    template = Template("t", "{{ ['a', 'b', 'c', 'd'] | " + drawing + " }} ||| yes", None)
    assert template.is_random
    state = random.getstate()
    prompts = [template.render({}, random.Random(seed)) for seed in range(20)]
    drawn = [prompt.input for prompt in prompts if prompt]
    assert random.getstate() == state
    assert drawn == [random.Random(seed).choice(["a", "b", "c", "d"]) for seed in range(20)]
    assert set(drawn) == {"a", "b", "c", "d"}


def test_plain_template_is_not_random() -> None:
    assert not Template("t", "{{ a }} ||| {{ answer_choices | first }}", "a ||| b").is_random


def test_unknown_dataset() -> None:
    with pytest.raises(UserError, match="no templates for super_glue/nothing"):
        load_templates("super_glue", "nothing")
