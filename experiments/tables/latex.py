"""A table as LaTeX, for a paper that loads the packages booktabs and graphicx."""

import re
from collections.abc import Iterable, Iterator

from experiments.tables.block import Block, Document

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "†": r"$^\dagger$",
    "×": r"$\times$",
    "−": "$-$",
}

_LIGATURE = re.compile("-(?=-)")
"""Of two hyphens LaTeX would make a dash."""
_MINUS = re.compile(r"(?<![^\s\[(])-(?=\d)")


def latex(*documents: Document) -> str:
    """Documents as floats, one a table; the notes stand below the last one of each."""
    lines = ["% Needs \\usepackage{booktabs,graphicx}."]
    for document in documents:
        for number, block in enumerate(document.blocks, 1):
            lines += _float(block, document.notes if number == len(document.blocks) else ())
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text in which LaTeX sees no command."""
    return _LIGATURE.sub("-{}", "".join(_SPECIAL.get(character, character) for character in text))


def _float(block: Block, notes: tuple[str, ...]) -> Iterator[str]:
    yield r"\begin{table}[t]"
    yield r"  \centering\footnotesize"
    yield f"  \\caption{{{escaped(_caption(block.title))}}}"
    # As wide as it is, but not wider than the text.
    yield r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    yield f"  \\begin{{tabular}}{{l{'r' * (len(block.header) - 1)}}}"
    yield r"    \toprule"
    yield from _header(block)
    yield r"    \midrule"
    for number, row in enumerate(block.rows, 1):
        if block.last_apart and number == len(block.rows):
            yield r"    \midrule"
        yield f"    {_line(row)}"
    yield r"    \bottomrule"
    yield r"  \end{tabular}}"
    if notes:
        yield r"  \par\smallskip\begin{minipage}{\linewidth}\scriptsize"
        for note in notes:
            yield f"    {escaped(note)}\\par"
        yield r"  \end{minipage}"
    yield r"\end{table}"


def _caption(title: str) -> str:
    """A title without the number that LaTeX gives; the paper's stands behind it."""
    found = re.match(r"Table (\d+):? ", title)
    rest = title[found.end() :] if found else title
    start = rest[:1].upper() + rest[1:]
    return f"{start}, after Table {found[1]} of Liu et al. (2022)" if found else start


def _header(block: Block) -> Iterator[str]:
    titles = [title.split("\n") for title in block.header]
    height = max(map(len, titles))
    at_the_bottom = ([""] * (height - len(title)) + title for title in titles)
    for line in zip(*at_the_bottom, strict=True):
        yield f"    {_line(line)}"


def _line(cells: Iterable[str]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(cell: str) -> str:
    text = _MINUS.sub("$-$", escaped(cell.strip()))
    # A bracket at the start of a line would be an argument of the line break before it.
    text = f"{{{text}}}" if text.startswith(("[", "*")) else text
    return f"\\quad {text}" if cell.startswith("  ") else text
