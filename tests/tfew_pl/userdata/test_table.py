import codecs
import json
from pathlib import Path

import pandas as pd
import pytest

from tfew_pl.userdata.table import CELL_CHARACTERS, open_table

ROWS = [{"text": 'a "b", c', "label": "x"}, {"text": "d\ne", "label": "\u00e9"}, {"text": "", "label": "y z"}]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(params=["csv", "CSV", "tsv", "jsonl", "ndjson", "parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same rows in a format."""
    frame, path = pd.DataFrame(ROWS), tmp_path / f"rows.{request.param}"
    match request.param.lower():
        case "csv":
            frame.to_csv(path, index=False)
        case "tsv":
            frame.to_csv(path, index=False, sep="\t")
        case "parquet":
            frame.to_parquet(path)
        case _:
            path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    return path


def test_every_format_gives_the_same_rows(path: Path) -> None:
    table = open_table(path)
    assert table.columns == ("text", "label")
    for _ in range(2):
        assert [values for _, values in table] == ROWS


def test_a_row_is_counted_by_the_line_on_which_it_starts(tmp_path: Path) -> None:
    content = b'text,label\n\n"a\nb",x\nc,y\n'
    table = open_table(write(tmp_path / "t.csv", content))
    assert [(number, values["text"]) for number, values in table] == [(3, "a\nb"), (5, "c")]
    assert table.where(5) == f"{tmp_path / 't.csv'}, line 5"


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    for name, content in (("t.csv", b"text,label\na,x\n"), ("t.jsonl", b'{"text": "a", "label": "x"}\n')):
        assert open_table(write(tmp_path / name, codecs.BOM_UTF8 + content)).columns == ("text", "label")


def test_a_field_that_a_json_line_lacks_is_none(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "t.jsonl", b'{"text": "a", "label": 1}\n{"label": 2}\n'))
    assert [values for _, values in table] == [{"text": "a", "label": 1}, {"text": None, "label": 2}]


def test_parquet_is_read_in_parts_and_counted_through(tmp_path: Path) -> None:
    pd.DataFrame({"n": range(3000)}).to_parquet(tmp_path / "t.parquet", row_group_size=700)
    table = open_table(tmp_path / "t.parquet")
    assert [(number, values["n"]) for number, values in table] == [(n + 1, n) for n in range(3000)]
    assert table.where(7).endswith("row 7")


def test_the_longest_cell_is_read(tmp_path: Path) -> None:
    text = "a" * CELL_CHARACTERS
    table = open_table(write(tmp_path / "t.csv", f"text\n{text}\n".encode()))
    assert next(iter(table)) == (2, {"text": text})
