"""The leaderboard in Chromium, as a person uses it: by mouse and by keyboard, light and dark, on a phone.

Where there is no browser these tests are skipped, unless TFEW_REQUIRE_BROWSER is set, as in CI.
"""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from experiments.leaderboard.board import Board
from experiments.leaderboard.page import page as html
from experiments.statistics import Spread
from tfew_pl.tasks import TASKS

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("TFEW_REQUIRE_BROWSER"):
            pytest.fail("no Chromium: install one, or name it in CHROMIUM")
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def file(example: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html(example), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """The page, opened; at the end it must have reported no error and asked for nothing else."""
    context = browser.new_context(viewport={"width": 1366, "height": 900})
    page = context.new_page()
    reported: list[str] = []
    page.on("console", lambda message: reported.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: reported.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert reported == []
    assert [url for url in asked if not url.startswith(file.as_uri())] == []


def shown(page: Page) -> list[str]:
    """Methods and what they change, from the top."""
    rows = page.locator("table.board tbody tr:not([hidden]) th")
    return rows.evaluate_all("cells => cells.map(cell => cell.dataset.value.trim())")


def header(page: Page, title: str) -> Locator:
    return page.locator("table.board thead").get_by_role("button", name=title, exact=True)


def column(page: Page, title: str) -> list[str]:
    index = header(page, title).evaluate("button => button.parentNode.cellIndex")
    cells = page.locator(f"table.board tbody tr > :nth-child({index + 1})")
    return cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")


def test_it_opens_sorted_by_rank(page: Page, hostile: str) -> None:
    assert shown(page) == ["ia3", "zero-shot", "ia3 without pretraining", "in-context" + LIMITS, hostile]
    assert page.locator("th[aria-sort]").all_inner_texts() == ["Rank"]
    assert page.get_by_role("status").inner_text() == "5 of 5 rows shown."
    assert page.title() == "T-Few leaderboard"


LIMITS = " evaluation.examples=32 evaluation.templates=3"


@pytest.mark.parametrize("title", ["Mean", "RTE", "Rank", "Method"])
def test_sorting(page: Page, title: str) -> None:
    button = header(page, title)
    directions = []
    for _ in range(2):
        button.click()
        cell = button.locator("..")
        directions.append(cell.get_attribute("aria-sort"))
        assert page.locator("th[aria-sort]").count() == 1
        values = column(page, title)
        present = [value for value in values if value]
        assert values[len(present) :] == [""] * (len(values) - len(present))  # what is missing is last
        if title != "Method":
            assert len(present) == (2 if title == "Rank" else 4)  # two are not ranked, and one has not all tasks
            numbers = [float(value) for value in present]
            assert numbers == sorted(numbers, reverse=directions[-1] == "descending")
        expect(page.get_by_role("status")).to_have_text(f"Sorted by {title}, {directions[-1]}. 5 of 5 rows shown.")
    assert set(directions) == {"ascending", "descending"}
    # A number is best when it is high, a rank when it is low, and names start with A; rank is already sorted so.
    assert directions[0] == ("ascending" if title == "Method" else "descending")


def test_filtering(page: Page, hostile: str) -> None:
    status = page.get_by_role("status")
    search = page.get_by_label("Search")
    search.fill("ia3 WITHOUT")
    assert shown(page) == ["ia3 without pretraining"]
    expect(status).to_have_text("1 of 5 rows shown.")
    search.fill("no such thing")
    expect(status).to_have_text("0 of 5 rows shown.")
    for name in ("T-Few", "(IA)3"):  # as texts call it
        search.fill(name)
        assert shown(page)[:1] == ["ia3"]
    search.fill("")
    page.get_by_label("Backbone").select_option("pocket-lm")
    assert shown(page) == ["in-context" + LIMITS]
    # The figures follow.
    assert page.locator("svg a:visible").count() == 3
    page.get_by_label("Backbone").select_option("")
    page.get_by_label("Source").select_option(hostile)
    assert shown(page) == [hostile]
    page.get_by_label("Source").select_option("")
    page.get_by_label("Rows").select_option("ranked")
    assert shown(page) == ["ia3", "zero-shot"]
    page.get_by_label("Rows").select_option("")
    expect(status).to_have_text("5 of 5 rows shown.")
    assert page.locator("svg a:visible").count() == 12


def test_columns(page: Page) -> None:
    assert header(page, "RTE").is_visible()
    assert not header(page, "Peak memory").is_visible()
    page.get_by_label("costs").check()
    assert not header(page, "RTE").is_visible()
    header(page, "Stored for a task").click()
    assert [float(value) for value in column(page, "Stored for a task")] == [0, 100, 7680, 13000, 13000]
    page.get_by_label("accuracy by task").check()
    assert header(page, "RTE").is_visible()


def test_drill_down_to_templates_and_seeds(page: Page, example: Board) -> None:
    row = example.values()[0]
    page.get_by_role("link", name="ia3", exact=True).first.click()
    dialog = page.get_by_role("dialog", name="ia3")
    expect(dialog).to_be_visible()
    assert page.url.endswith(f"#{row['id']}")
    dialog.get_by_label("Task").select_option("rte")
    (task,) = (task for task in row["tasks"] if task["task"] == "rte")
    table = dialog.get_by_role("table")
    heads = table.get_by_role("columnheader").all_inner_texts()
    assert heads == ["Template", *(f"seed {run['seed']}\n{run['digest']}" for run in task["runs"]), "median"]
    for i, (line, name) in enumerate(zip(table.locator("tbody tr").all(), task["templates"], strict=True)):
        values = [run["accuracy"][i] for run in task["runs"]]
        expected = [name, *(f"{v:.1f}" for v in values), f"{sorted(values)[2]:.1f}"]
        assert line.locator("th, td").all_inner_texts() == expected
    assert table.locator("tfoot td").last.inner_text() == f"{task['accuracy']:.1f}"
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).not_to_be_visible()
    expect(page).to_have_url(page.url.split("#")[0])


def test_the_dialog_rounds_as_the_table(browser: Browser, example: Board, tmp_path: Path) -> None:
    """Halves, which a browser would round up and Python rounds to the even digit."""
    (section,) = example.sections
    row = section.rows[0]
    tasks = tuple(dataclasses.replace(task, accuracy=Spread(56.25, 50.0, 50.25)) for task in row.tasks)
    board = Board((dataclasses.replace(section, rows=(dataclasses.replace(row, tasks=tasks),)),))
    (tmp_path / "halves.html").write_text(html(board), encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "halves.html").as_uri())
    cell = page.locator("table.board tbody .tasks").first.inner_text()
    page.get_by_role("link", name="ia3").first.click()
    said = page.locator("#details-task-about").inner_text()
    foot = page.locator("#details-runs tfoot td").last.inner_text()
    page.close()
    assert cell.split()[0] == foot == "56.2"
    assert said.startswith("Median 56.2 %, interquartile range 0.2,")


def test_a_link_leads_to_a_method(page: Page, file: Path, example: Board) -> None:
    row = next(row for row in example.values() if row["method"] == "zero-shot")
    page.goto(f"{file.as_uri()}#{row['id']}")
    page.reload()
    dialog = page.get_by_role("dialog", name="zero-shot")
    expect(dialog).to_be_visible()
    assert "no seed" in dialog.inner_text()
    page.goto(f"{file.as_uri()}#constructor")
    expect(dialog).not_to_be_visible()


def test_by_keyboard_alone(page: Page) -> None:
    def focused() -> str:
        return str(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))

    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(focused())
    assert [reached[0], *reached[5:]] == ["query", reached[5], "Method", "Rank", "Mean"]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").inner_text().startswith("Mean")
    for _ in range(len(TASKS) + 1):
        page.keyboard.press("Tab")
    assert focused() == "ia3"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert focused() == "ia3"  # the dialog's title
    for _ in range(12):  # the focus stays in the dialog, or goes to the browser's own controls
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement.closest('dialog') !== null || document.activeElement === document.body"
        )
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    assert page.evaluate("document.activeElement.closest('table.board') !== null")


def test_marks_in_a_figure_lead_to_their_methods(page: Page) -> None:
    mark = page.locator("svg a").filter(has_text="zero-shot").first
    assert "65." in str(mark.get_attribute("aria-label"))
    mark.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="zero-shot")).to_be_visible()


def test_every_mark_can_be_pointed_at(page: Page) -> None:
    found = page.evaluate("""() => [...document.querySelectorAll("svg circle")].map((circle) => {
      circle.scrollIntoView({ block: "center" });
      const box = circle.getBoundingClientRect();
      return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === circle;
    })""")
    assert found == [True] * 12


def test_the_header_stays_in_sight(page: Page) -> None:
    page.set_viewport_size({"width": 1366, "height": 300})
    region = page.locator(".tall").first
    region.evaluate("region => { region.scrollIntoView(); region.scrollTop = 200; }")
    table, head = region.bounding_box(), header(page, "Mean").bounding_box()
    assert table is not None
    assert head is not None
    assert region.evaluate("region => region.scrollTop") > 100
    assert table["y"] <= head["y"] < table["y"] + 5


def test_hostile_names_do_nothing(page: Page, hostile: str) -> None:
    page.get_by_role("link", name=hostile).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(hostile)
    assert hostile in dialog.inner_text()
    assert page.title() == "T-Few leaderboard"
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Page, scheme: str) -> None:
    """WCAG's contrast of 4.5, for every color of text on every ground."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    colors = page.evaluate("""() => {
      const probe = document.body.appendChild(document.createElement("i"));
      const value = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
      return Object.fromEntries(["page", "raised", "text", "quiet", "accent"].map((name) => [name, value(name)]));
    }""")

    def luminance(color: str) -> float:
        parts = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert (luminance(colors["page"]) > 0.5) == (scheme == "light")
    for ground in ("page", "raised"):
        for name in ("text", "quiet", "accent"):
            high, low = sorted((luminance(colors[ground]), luminance(colors[name])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def test_on_a_phone_only_the_tables_scroll_sideways(page: Page) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    name = page.locator("table.board tbody th").first
    before = name.bounding_box()
    scroll = page.locator(".scroll").first
    scroll.evaluate("region => region.scrollLeft = 200")
    assert name.bounding_box() == before  # a row's name stays in sight
    assert scroll.get_attribute("tabindex") == "0"
    page.get_by_role("link", name="in-context").first.click()
    dialog = page.get_by_role("dialog").bounding_box()
    assert dialog is not None
    assert dialog["width"] <= PHONE["width"]
    template = page.locator("#details-runs tbody .name").first.bounding_box()
    assert template is not None
    assert template["width"] > 100  # words, not a letter a line
    assert template["height"] < 200
    assert page.get_by_role("button", name="Close").is_visible()


def test_without_javascript_the_table_is_all_there(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("table.board tbody tr").count() == 5
    assert page.locator("svg").count() == 3
    assert header(page, "RTE").is_visible()
    assert header(page, "Peak memory").is_visible()
    assert page.locator("noscript p").is_visible()
    # What would do nothing cannot be chosen.
    assert page.get_by_role("button", disabled=False).count() == 0
    assert page.locator("input:visible, select:visible, a[href]").count() == 0
    context.close()


def test_back_keeps_what_was_chosen(page: Page) -> None:
    """The browser restores the form; what it says is what is shown."""
    page.get_by_label("Backbone").select_option("pocket-lm")
    page.get_by_label("costs").check()
    page.goto("about:blank")
    page.go_back()
    expect(page.get_by_label("Backbone")).to_have_value("pocket-lm")
    expect(page.get_by_role("status")).to_have_text("1 of 5 rows shown.")
    assert shown(page) == ["in-context" + LIMITS]
    assert header(page, "Peak memory").is_visible()
    assert not header(page, "RTE").is_visible()


def test_rows_are_not_sorted_by_what_nobody_sees(page: Page) -> None:
    page.get_by_label("costs").check()
    header(page, "Peak memory").click()
    header(page, "Peak memory").click()
    page.get_by_label("accuracy by task").check()
    assert page.locator("th[aria-sort]").all_inner_texts() == ["Rank"]
    assert shown(page)[:2] == ["ia3", "zero-shot"]
    expect(page.get_by_role("status")).to_have_text("Sorted by Rank, ascending. 5 of 5 rows shown.")
    header(page, "Mean").click()
    page.get_by_label("costs").check()
    assert page.locator("th[aria-sort]").all_inner_texts() == ["Mean"]  # which is still there


def test_a_front_whose_marks_are_filtered_away_is_not_drawn(page: Page) -> None:
    def drawn() -> bool:
        return bool(figure.locator(".front").evaluate("path => getComputedStyle(path).display !== 'none'"))

    figure = page.locator("svg.figure").first
    description = str(figure.locator("desc").text_content())
    assert drawn()
    page.get_by_label("Backbone").select_option("pocket-lm")
    assert not drawn()
    assert figure.locator("desc").text_content() == f"1 of 4 marks are shown. {description}"
    page.get_by_label("Backbone").select_option("")
    page.get_by_label("Rows").select_option("ranked")
    assert drawn()
    page.get_by_label("Rows").select_option("")
    assert figure.locator("desc").text_content() == description


def test_nothing_in_a_crowded_figure_is_covered(browser: Browser, example: Board, tmp_path: Path) -> None:
    """As the browser measures letters, not as the layout does."""
    (section,) = example.sections
    rows = [
        dataclasses.replace(
            section.rows[0],
            source=str(i),
            spec=dataclasses.replace(section.rows[0].spec, method=f"{('漢字', 'WWW', 'iii')[i % 3]}-{i % 9}"),
            changes=("without unlikelihood",) * (i > 30),
            tasks=tuple(
                dataclasses.replace(task, accuracy=Spread(50 + i % 30 + i / 60, 40, 60))
                for task in section.rows[0].tasks
            ),
            costs=dict.fromkeys(section.rows[0].costs, 1000000.0 * 1.08**i),
        )
        for i in range(60)
    ]
    (tmp_path / "crowd.html").write_text(
        html(Board((dataclasses.replace(section, rows=tuple(rows)),))), encoding="utf-8"
    )
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    page.goto((tmp_path / "crowd.html").as_uri())
    found = page.evaluate("""() => [...document.querySelectorAll("svg.figure")].flatMap((figure) => {
      const box = (element) => { const b = element.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; };
      const cover = (one, other) =>
        one[0] < other[2] && other[0] < one[2] && one[1] + 2 < other[3] && other[1] + 2 < one[3];
      const texts = [...figure.querySelectorAll("a text")];
      const others = [...texts, ...figure.querySelectorAll("circle, text[text-anchor=end]")];
      const covered = texts.flatMap((text) =>
        others.filter((other) => other !== text && cover(box(text), box(other))).map((other) => [text, other]));
      const { width, height } = figure.viewBox.baseVal;
      const outside = texts.filter((text) => box(text)[0] < 0 || box(text)[2] > width || box(text)[1] < 0);
      const unnamed = [...figure.querySelectorAll(".on")].filter((mark) => !mark.parentNode.querySelector("text"));
      return [texts.length > 8, covered.length, outside.length, unnamed.length];
    })""")
    page.close()
    assert found == [True, 0, 0, 0] * 3


def test_on_paper_all_rows_and_columns_are_there(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 1040, "height": 720})  # A4, on its side, without margins
    region = page.locator(".tall").first
    sizes = region.evaluate(
        "region => [region.scrollWidth, region.clientWidth, region.scrollHeight, region.clientHeight]"
    )
    assert sizes[0] == sizes[1]
    assert sizes[2] == sizes[3]
    for title in ("RTE", "Peak memory"):
        assert header(page, title).is_visible()
    assert not page.locator("#controls").is_visible()
    assert not page.get_by_role("status").is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("thead").first.evaluate("head => getComputedStyle(head).position") == "static"
