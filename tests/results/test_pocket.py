"""The committed tables are what their records give."""

import re
from pathlib import Path

import pytest

from experiments.cli import main

POCKET = Path(__file__).parents[2] / "results" / "pocket"
TABLES = sorted({re.sub(r"\D", "", path.name) for path in POCKET.glob("table*.md")}, key=int)


def test_the_tables_of_the_paper_are_there() -> None:
    assert {"1", "2", "3", "4", "8", "9", "10", "11"} <= set(TABLES)


@pytest.mark.parametrize("number", TABLES)
def test_a_table_is_what_its_records_give(number: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["table", number, "--out", str(tmp_path)])
    assert not ended.value.code
    made = sorted(tmp_path.glob(f"table{number}[._]*"))
    assert len(made) == 5
    for path in made:
        assert path.read_bytes() == (POCKET / path.name).read_bytes(), f"tfew table {number} writes {path.name} anew"
