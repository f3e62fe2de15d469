"""Tables as LaTeX."""

import re

from experiments.tables.block import Block, Document
from experiments.tables.latex import escaped, latex

BLOCK = Block(
    "50 % & more", ("method", "two\nlines", "\nlow"), (("a_b", "1", "x"), ("  paper", "[2]", "-")), last_apart=True
)


def test_latex() -> None:
    assert latex(Document((BLOCK,), ("A note: {5} × #1.",))).splitlines() == [
        "% Needs \\usepackage{booktabs,graphicx}.",
        r"\begin{table}[t]",
        r"  \centering\footnotesize",
        r"  \caption{50 \% \& more}",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        r"  \begin{tabular}{lrr}",
        r"    \toprule",
        r"     & two &  \\",
        r"    method & lines & low \\",
        r"    \midrule",
        r"    a\_b & 1 & x \\",
        r"    \midrule",
        r"    \quad paper & {[2]} & - \\",
        r"    \bottomrule",
        r"  \end{tabular}}",
        r"  \par\smallskip\begin{minipage}{\linewidth}\scriptsize",
        r"    A note: \{5\} $\times$ \#1.\par",
        r"  \end{minipage}",
        r"\end{table}",
    ]


def test_a_command_can_be_copied() -> None:
    assert escaped("`a | b --store w --- x`") == (
        r"\textasciigrave{}a \textbar{} b -{}-store w -{}-{}- x\textasciigrave{}"
    )


def test_captions_leave_the_number_to_latex() -> None:
    def caption(title: str) -> str:
        (found,) = re.findall(r"\\caption\{(.*)\}", latex(Document((Block(title, ("a",), ()),), ())))
        return str(found)

    assert caption("Table 4: methods with both") == "Methods with both, after Table 4 of Liu et al. (2022)"
    assert caption("Table 4 by dataset: median") == "By dataset: median, after Table 4 of Liu et al. (2022)"
    assert caption("Accuracy by task") == "Accuracy by task"


def test_negative_numbers_have_a_minus_sign() -> None:
    row = ("T0-3B", "-0.5 [-1.6, +0.2]", "2.1e-05", "-", "- PT")
    shown = latex(Document((Block("", tuple("abcde"), (row,)),), ()))
    assert r"T0-3B & $-$0.5 [$-$1.6, +0.2] & 2.1e-05 & - & - PT \\" in shown


def test_notes_stand_below_the_last_table() -> None:
    shown = latex(Document((BLOCK, BLOCK), ("A note.",)))
    assert shown.count(r"\begin{table}") == 2
    assert shown.count("A note.") == 1
    assert shown.rindex(r"\toprule") < shown.index("A note.")


def test_no_command_of_a_name_is_run() -> None:
    assert escaped(r"\input{x}") == r"\textbackslash{}input\{x\}"
    assert escaped("a^b~<c>†") == r"a\textasciicircum{}b\textasciitilde{}\textless{}c\textgreater{}$^\dagger$"
