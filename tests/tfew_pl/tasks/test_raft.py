"""The RAFT tasks: their prompts, their variants, the official settings, and what is special about them in a run."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tfew_pl.errors import UserError
from tfew_pl.spec import RunSpec
from tfew_pl.tasks import RAFT_TASKS, TASKS, get_task, task_of
from tfew_pl.tasks.data import load_data
from tfew_pl.tasks.raft.settings import read_settings

# The dataset's card, the leaderboard and the issue.
TEST_ROWS = {"ade_corpus_v2": 5000, "banking_77": 5000, "terms_of_service": 5000, "twitter_complaints": 3399,
             "tweet_eval_hate": 2966, "overruling": 2350, "systematic_review_inclusion": 2243,
             "tai_safety_research": 1639, "one_stop_english": 516, "semiconductor_org_types": 449,
             "neurips_impact_statement_risks": 150}  # fmt: skip
CHOICES = {"banking_77": 77, "one_stop_english": 3, "semiconductor_org_types": 3}


def test_the_eleven_tasks() -> None:
    assert {name: task.test_rows for name, task in RAFT_TASKS.items()} == TEST_ROWS
    assert sum(TEST_ROWS.values()) == 28_712
    assert not set(RAFT_TASKS) & set(TASKS)
    for name, task in RAFT_TASKS.items():
        assert get_task(name) is task
        assert task.choices == len(set(task.labels)) == CHOICES.get(name, 2)
        assert (task.shots, task.metric, task.labeled) == (50, "macro-f1", False)
        assert set(task.fields) <= {*task.columns, "ID", "Label"}
        assert list(task.labels) == sorted(task.labels), "classes are in the order of their names"


def _prompt(task: str, row: dict[str, Any], **options: Any) -> Any:
    (template,) = get_task(task).configured("hub", options).templates()
    return template.render(row, random.Random(0))


ROW = {"Title": "a title", "Abstract": " of two\nlines ", "Authors": "nobody", "Journal": "", "ID": 50, "Label": 2}


def test_a_prompt_is_the_instruction_the_shown_fields_and_label() -> None:
    prompt = _prompt("systematic_review_inclusion", ROW)
    lines = prompt.input.split("\n")
    assert lines[0] == RAFT_TASKS["systematic_review_inclusion"].instruction
    assert lines[1:] == ["Title: a title", "Abstract: of two", "lines", "Label:"]
    assert (prompt.target, prompt.choices) == ("not included", ("included", "not included"))


def test_long_fields_are_cut_so_that_the_end_stays() -> None:
    prompt = _prompt("one_stop_english", {"Article": "word " * 9999, "ID": 1, "Label": 3})
    assert prompt.input.endswith("\nLabel:")
    assert 2000 < len(prompt.input) < 2400


def test_missing_values_and_unlabeled_rows() -> None:
    prompt = _prompt("overruling", {"Sentence": None, "ID": 50, "Label": 0})
    assert prompt.input.endswith("overruling.\nLabel:")
    assert prompt.target == "Unlabeled"
    assert RAFT_TASKS["overruling"].label({"Label": 0}) == RAFT_TASKS["overruling"].label({"Label": None}) == -1
    assert RAFT_TASKS["overruling"].label({"Label": 1}) == 0
    with pytest.raises(UserError, match="the example has no 'Sentence'; it has 'ID'"):
        _prompt("overruling", {"ID": 1})


def test_the_paper_lists_the_labels_for_banking77_alone() -> None:
    query = {"Query": "where is my card?", "ID": 50, "Label": 13}
    assert "Possible labels: Refund not showing up, activate my card, age limit, " in _prompt("banking_77", query).input
    assert _prompt("banking_77", query).target == "card arrival"
    for name in set(RAFT_TASKS) - {"banking_77"}:
        row = dict.fromkeys(RAFT_TASKS[name].columns, "x") | {"ID": 50, "Label": 1}
        assert "Possible labels" not in _prompt(name, row).input
        assert (
            f" Possible labels: {', '.join(RAFT_TASKS[name].labels)}\n" in _prompt(name, row, variant="release").input
        )


def test_the_release_shows_fields_in_the_datasets_order() -> None:
    row = {"Paper title": "t", "Paper link": "l", "Impact statement": "i", "ID": 50, "Label": 1}
    name = "neurips_impact_statement_risks"
    assert _prompt(name, row).input.split("\n")[1:] == ["Impact statement: i", "Paper title: t", "Label:"]
    prompt = _prompt(name, row, variant="release")
    assert prompt.input.split("\n")[1:] == ["Paper title: t", "Impact statement: i", "Label:"]


def test_losses_that_are_off_for_banking77() -> None:
    banking = RAFT_TASKS["banking_77"]
    assert banking.recipe == {"unlikelihood_weight": 0.0}
    release = banking.configured("hub", {"variant": "release"})
    batches = {"accumulate": 8, "drop_last": False}
    assert release.recipe == {"unlikelihood_weight": 0.0, "length_norm_weight": 0.0, **batches}
    assert RAFT_TASKS["overruling"].configured("hub", {"variant": "release"}).recipe == batches
    assert RAFT_TASKS["overruling"].recipe == {}


def test_pocket_data_has_a_wording_of_its_own() -> None:
    task = task_of(RunSpec("overruling"))
    (template,) = task.templates()
    prompt = template.render(load_data("overruling", "pocket").evaluation[0], random.Random(0))
    assert prompt is not None
    assert prompt.input.startswith("do both sentences have the same topic?\nSentence: ")
    assert prompt.choices == ("same topic", "other topic")
    assert task_of(RunSpec("overruling", data="hub")).templates() == RAFT_TASKS["overruling"].templates()


FIELDS = {"tai_safety_research": ["Title", "Author"], "overruling": ["Sentence"]}
INSTRUCTIONS = {"tai_safety_research": "Is it {safe}? ", "overruling": "Overruling?"}


def _settings(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


def test_official_settings_take_the_place_of_our_instructions(tmp_path: Path) -> None:
    path = _settings(tmp_path / "settings.jsonl", FIELDS, INSTRUCTIONS)
    row = dict.fromkeys(RAFT_TASKS["tai_safety_research"].columns, "x") | {"ID": 50, "Label": 1}
    prompt = _prompt("tai_safety_research", row, settings=str(path))
    assert prompt.input == "Is it {safe}?\nTitle: x\nAuthor: x\nLabel:"
    task = get_task("overruling").configured("hub", {"settings": str(path)})
    assert task.revision == read_settings(path).digest
    assert get_task("overruling").revision == ""
    with pytest.raises(UserError, match=r"settings\.jsonl: it says nothing of the task banking_77"):
        get_task("banking_77").configured("hub", {"settings": str(path)})
    with pytest.raises(UserError, match="the official prompt settings are not for the pocket data"):
        get_task("overruling").configured("pocket", {"settings": str(path)})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([FIELDS], "1 lines of JSON, expected two"),
        ([FIELDS, INSTRUCTIONS, {}], "3 lines of JSON, expected two"),
        ([FIELDS, "{nothing"], "line 2: not valid JSON"),
        ([[1], INSTRUCTIONS], "line 1: expected an object by task, not a list"),
        ([{"overruling": "Sentence"}, INSTRUCTIONS], "line 1: task overruling: expected a list of fields"),
        ([FIELDS, {"overruling": ""}], "line 2: task overruling: expected an instruction, not ''"),
        ([{"overruling": ["Sentences"]}, INSTRUCTIONS], "task overruling has no column 'Sentences'; it has Sentence"),
    ],
)
def test_bad_settings_are_refused_with_the_line(lines: list[object], message: str, tmp_path: Path) -> None:
    path = _settings(tmp_path / "settings.jsonl", *lines)
    with pytest.raises(UserError, match=message):
        get_task("overruling").configured("hub", {"settings": str(path)})
    with pytest.raises(UserError, match=r"none\.jsonl: cannot be read"):
        read_settings(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("overruling", {"variant": "papr"}, "variant is paper or release, not papr"),
        ("overruling", {"variants": "paper"}, "did you mean variant"),
        ("rte", {"variant": "paper"}, "task rte has no option variant"),
    ],
)
def test_options_that_do_not_fit(task: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task_of(RunSpec(task, task_options=options))


def test_options_are_part_of_a_runs_identity_but_a_files_place_is_not() -> None:
    plain = RunSpec("overruling")
    assert "task_options" not in plain.identity(), "runs without them keep their digests"
    release = RunSpec("overruling", task_options={"variant": "release"})
    assert release.digest != plain.digest
    here, there = (RunSpec("overruling", task_options={"settings": place}) for place in ("here", "there"))
    assert here.digest == there.digest == plain.digest, "what is in the file is in the revisions"
    assert RunSpec.from_json(json.loads(json.dumps({"task": "rte", "task_options": {"a": 1}}))).task_options == {"a": 1}
