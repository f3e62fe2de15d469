"""Tables as pages."""

from html.parser import HTMLParser

from experiments.tables.block import Block, Document
from experiments.tables.html import html

EVIL = '<script>alert("x")</script>'
BLOCK = Block(EVIL, ("method", "two\nlines"), ((EVIL, "1 & 2"), ("  paper", "22"), ("last", "3")), last_apart=True)


class Reader(HTMLParser):
    """Notes tags with their attributes, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))


def read(document: Document) -> Reader:
    reader = Reader()
    reader.feed(html(document))
    reader.close()
    return reader


def test_every_tag_is_closed_and_every_cell_is_there() -> None:
    page = read(Document((BLOCK,), ("A note.", EVIL)))
    assert page.open == []
    assert [text for tag, text in page.texts if tag == "td"] == ["1 & 2", "22", "3"]
    assert [text for tag, text in page.texts if tag == "th"] == ["method", "two", "lines", EVIL, "paper", "last"]
    assert [text for tag, text in page.texts if tag == "li"] == ["A note.", EVIL]


def test_names_cannot_run_and_nothing_is_fetched() -> None:
    page = read(Document((BLOCK,), (EVIL,)))
    tags = [tag for tag, _ in page.starts]
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert not any(
        key in ("src", "href") or key.startswith("on") for _, attributes in page.starts for key in attributes
    )


def test_readers_that_do_not_see_are_told_rows_and_columns() -> None:
    page = read(Document((BLOCK,), ()))
    scopes = [attributes.get("scope") for tag, attributes in page.starts if tag == "th"]
    assert scopes == ["col"] * 2 + ["row"] * 3
    rows = [attributes for tag, attributes in page.starts if tag == "tr"]
    assert [row.get("class") for row in rows] == [None, None, None, "apart"]
    names = [attributes.get("aria-label") for tag, attributes in page.starts if attributes.get("scope") == "row"]
    assert names == [None, f"{EVIL}, paper", None]
