"""The leaderboard's page as a text: whole, self-contained, escaped."""

import base64
import dataclasses
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import pytest

from experiments.leaderboard.board import Board
from experiments.leaderboard.details import details
from experiments.leaderboard.page import COSTS, page
from experiments.leaderboard.pareto import AXES
from experiments.quantities import percent
from experiments.run_costs import PROCESS_MEMORY
from experiments.statistics import Spread
from tfew_pl.spec import IN_CONTEXT
from tfew_pl.tasks import TASKS

VOID = {"meta", "input", "br", "link", "img", "wbr"}


class Parsed(HTMLParser):
    """The elements of a page with their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not (self.get_starttag_text() or "").endswith("/>") or self.open[-1] == tag:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text(example: Board) -> str:
    return page(example)


@pytest.fixture(scope="module")
def parsed(text: str) -> Parsed:
    return Parsed(text)


def test_the_best_of_a_task_is_of_those_that_can_be_compared(example: Board) -> None:
    """Not in-context learning, of which fewer examples were evaluated."""
    (section,) = example.sections
    limited = next(row for row in section.rows if row.spec.method == IN_CONTEXT)
    perfect = tuple(dataclasses.replace(task, accuracy=Spread(100.0, 100.0, 100.0)) for task in limited.tasks)
    rows = tuple(dataclasses.replace(row, tasks=perfect) if row is limited else row for row in section.rows)
    text = page(Board((dataclasses.replace(section, rows=rows),)))
    assert "100.0" in text
    assert "<b>100.0</b>" not in text
    assert f"<b>{percent(max(row.medians['rte'] for row in section.rows if row.comparable))}</b>" in text


def test_it_loads_nothing(text: str, parsed: Parsed) -> None:
    for tag, attributes in parsed.elements:
        assert not {"src", "srcset", "style", "action"} & set(attributes), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert tag not in ("link", "img", "iframe", "object", "base")
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
    assert "http://" not in text
    assert "https://" not in text


def test_its_policy_names_its_own_script_and_styles(parsed: Parsed) -> None:
    (policy,) = (meta["content"] for meta in parsed.all("meta") if "http-equiv" in meta)
    for kind, content in (("script", parsed.texts["script"][-1]), ("style", parsed.texts["style"][0])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'")
    assert "unsafe" not in str(policy)


def test_names_from_outside_are_text(text: str, parsed: Parsed, example: Board, hostile: str) -> None:
    assert hostile not in text
    assert len(parsed.all("script")) == 2
    shown = [name for name in parsed.texts["bdi"] if name == hostile]
    assert len(shown) == 3  # method, backbone, source
    embedded = json.loads(parsed.texts["script"][0])
    assert embedded == {row.id: details(row) for row in example.sections[0].rows}
    assert {row["source"] for row in embedded.values()} == {"this repository", hostile}


def test_options_say_what_they_stand_for(parsed: Parsed, hostile: str) -> None:
    """Of their text alone a browser takes away spaces."""
    assert {"", hostile, "pocket-t0"} <= {option["value"] for option in parsed.all("option")}


def test_costs_say_what_memory_is_of(text: str) -> None:
    assert f"{PROCESS_MEMORY}</span></caption>" in text


def test_ids_are_unique_and_referred_to(parsed: Parsed) -> None:
    ids = [str(attributes["id"]) for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in parsed.elements:
        for name in ("aria-labelledby", "for", "aria-controls"):
            assert set(str(attributes.get(name) or "").split()) <= set(ids)


def test_the_table_is_the_boards(parsed: Parsed, example: Board) -> None:
    (section,) = example.sections
    assert len(parsed.all("table")) == 2  # and the runs of a method, which the script fills
    columns = 3 + len(TASKS) + len(COSTS)
    values = [cell["data-value"] for tag, cell in parsed.elements if tag in ("td", "th") and "data-value" in cell]
    assert len(values) == columns * len(section.rows)
    for i, row in enumerate(section.rows):
        cells = values[columns * i : columns * (i + 1)]
        expected = [row.medians.get(task, "") for task in TASKS]
        assert cells[3 : 3 + len(TASKS)] == [str(value) for value in expected]
    bold = {float(value) for value in parsed.texts["b"]}
    assert {float(percent(max(r.medians.get(task, 0) for r in section.rows))) for task in TASKS} == bold


def test_figures_have_titles_and_descriptions(parsed: Parsed, example: Board) -> None:
    assert len(parsed.all("svg")) == 3
    names = [str(a["aria-label"]) for a in parsed.all("a") if "aria-label" in a]
    assert len(set(names)) == len(names)  # of one figure and among them, as each names its axis
    (section,) = example.sections
    for axis, described in zip(AXES, parsed.texts["desc"], strict=True):
        drawn = [row for row in section.rows if row.complete]
        ranked = [(row.costs[axis.key], -row.mean.median, row) for row in drawn if row.comparable and row.mean]
        front = []
        for _, accuracy, row in sorted(
            ranked, key=lambda entry: entry[:2]
        ):  # the best of the cheapest, and what beats it
            if not front or -accuracy > front[-1].mean.median:  # type: ignore[union-attr]
                front.append(row)
        for row in drawn:
            assert (f" {row.title}: {percent(row.mean.median)} %," in described) == (row in front)  # type: ignore[union-attr]
        assert f"{len(drawn)} marks in all" in described


def test_what_is_small_is_named_for_whoever_hears_it(text: str, example: Board) -> None:
    first = example.sections[0].rows[0]
    assert first.mean
    assert first.interval
    assert f", interval </span>{percent(first.interval[0])} to {percent(first.interval[1])}</small>" in text
    assert f", interquartile range </span>{percent(first.tasks[0].accuracy.iqr)}</small>" in text


def test_what_equals_the_best_without_a_rank_is_not_bold(example: Board) -> None:
    (section,) = example.sections
    twin = dataclasses.replace(section.rows[0], source="twin", changes=("without pretraining",))
    with_twin = page(Board((dataclasses.replace(section, rows=(*section.rows, twin)),)))
    assert with_twin.count("<b>") == page(example).count("<b>")


def test_rows_without_a_rank_say_why(text: str, example: Board) -> None:
    reasons = [row.unranked for row in example.sections[0].rows]
    assert reasons == [None, None, "ablation", "a part of the evaluation", "5 of 11 tasks"]
    assert [html.unescape(reason) for reason in re.findall(r"<i>not ranked: (.*?)</i>", text)] == reasons[2:]


def test_it_is_the_same_each_time(text: str, example: Board) -> None:
    assert page(example) == text
