"""A table as a page of its own: no script, nothing fetched, light and dark."""

from collections.abc import Iterator
from html import escape

from experiments.tables.block import Block, Document

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0 0 2rem; white-space: nowrap; }
caption { font-weight: 600; padding: .4rem 0; text-align: left; }
thead th { border-bottom: 1px solid; vertical-align: bottom; }
th, td { padding: .15rem .6rem; text-align: right; }
th:first-child { text-align: left; }
tbody th { font-weight: normal; }
tbody th.indented { padding-left: 1.6rem; }
tbody tr:hover { background: color-mix(in srgb, currentColor 8%, transparent); }
tr.apart > * { border-top: 1px solid; }
"""


def html(*documents: Document) -> str:
    """Documents as a page that is complete in itself."""
    title = escape(documents[0].blocks[0].title)
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        *(line for document in documents for line in _document(document)),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _document(document: Document) -> Iterator[str]:
    for block in document.blocks:
        yield from _table(block)
    yield "<ul>"
    yield from (f"<li>{escape(note)}</li>" for note in document.notes)
    yield "</ul>"


def _table(block: Block) -> Iterator[str]:
    # A keyboard, too, must be able to scroll what is wider than the page.
    yield f'<div class="wide" role="region" tabindex="0" aria-label="{escape(block.title)}">'
    yield "<table>"
    yield f"<caption>{escape(block.title)}</caption>"
    titles = "".join(f'<th scope="col">{_lines(title)}</th>' for title in block.header)
    yield f"<thead><tr>{titles}</tr></thead>"
    yield "<tbody>"
    above = ""
    for number, (name, *cells) in enumerate(block.rows, 1):
        apart = ' class="apart"' if block.last_apart and number == len(block.rows) else ""
        # Whom an indented row belongs to is seen, and has to be said to those who do not see it.
        belongs = f' class="indented" aria-label="{escape(above)}, {escape(name.strip())}"' if name[:1] == " " else ""
        above = above if belongs else name
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        yield f'<tr{apart}><th scope="row"{belongs}>{escape(name.strip())}</th>{values}</tr>'
    yield "</tbody>"
    yield "</table>"
    yield "</div>"


def _lines(title: str) -> str:
    return "<br>".join(map(escape, title.strip().split("\n")))
