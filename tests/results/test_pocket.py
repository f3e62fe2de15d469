"""The committed tables and the page of claims are what their records give."""

import re
from pathlib import Path

import pytest

from experiments.cli import main

POCKET = Path(__file__).parents[2] / "results" / "pocket"
TABLES = sorted({re.sub(r"\D", "", path.name) for path in POCKET.glob("table*.md")}, key=int)


def test_the_tables_of_the_paper_are_there() -> None:
    assert {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"} <= set(TABLES)


@pytest.mark.parametrize("number", TABLES)
def test_a_table_is_what_its_records_give(number: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["table", number, "--out", str(tmp_path)])
    assert not ended.value.code
    made = sorted(tmp_path.glob(f"table{number}[._]*"))
    assert len(made) == 5
    for path in made:
        assert path.read_bytes() == (POCKET / path.name).read_bytes(), f"tfew table {number} writes {path.name} anew"


def test_the_page_of_claims_is_what_its_records_give(tmp_path: Path) -> None:
    for path in (*POCKET.glob("table*.md"), *POCKET.glob("figure*.svg")):  # the page links what stands beside it
        (tmp_path / path.name).touch()
    with pytest.raises(SystemExit) as ended:
        main(["claims", "--out", str(tmp_path)])
    assert not ended.value.code
    assert (tmp_path / "README.md").read_bytes() == (POCKET / "README.md").read_bytes(), "tfew claims writes it anew"


def test_the_readme_counts_the_claims_as_the_page_does() -> None:
    """And names the one that the records speak against."""
    page = (POCKET / "README.md").read_text(encoding="utf-8")
    readme = " ".join((POCKET.parents[1] / "README.md").read_text(encoding="utf-8").split())
    counts = re.search(
        r"Of (\d+) claims of the paper our runs support (\d+) and speak against (\d+); (\d+) cannot", page
    )
    said = re.search(
        r"of its (\d+) claims our runs support (\d+) and speak against (\d+), .*?, and (\d+) cannot", readme
    )
    assert counts is not None
    assert said is not None
    assert said.groups() == counts.groups()
    (against,) = re.findall(r"^- \*\*(.*?)\*\*", page.partition("## Not supported")[2].partition("## ")[0], flags=re.M)
    assert against.replace("\\", "") == "L_UL and L_LN together improve it further"
