"""The eleven held-out tasks of T0 (Sanh et al. 2022), few-shot sizes of GPT-3 (Brown et al. 2020).

All that is particular to a dataset is here: its id, configuration, commit, splits, fields and their types.
"""

from tfew_pl.tasks.schema import Label, Number, Texts, Word
from tfew_pl.tasks.task import HubSource, Row, Task

_DIGITS = ("0", "1", "2", "3")


def _label(row: Row) -> int:
    return int(row["label"])


_NLI = ("premise", "hypothesis", "label")
_STORY = tuple(f"input_sentence_{i}" for i in range(1, 5))


def _super_glue(config: str) -> HubSource:
    return HubSource("aps/super_glue", config, revision="3de24cf8022e94f4ee4b9d55a6f539891524d646")


def _anli(round_: int) -> Task:
    return Task(
        name=f"anli_r{round_}",
        title=f"ANLI-R{round_}",
        family="natural language inference",
        templates_of=("anli", None),
        fields=_NLI,
        content=_NLI[:2],
        label=_label,
        choices=3,
        shots=50,
        # The release evaluates ANLI on its test splits.
        hub=HubSource(
            "facebook/anli",
            None,
            f"train_r{round_}",
            f"test_r{round_}",
            revision="8e4813d81f46d313dac7892e1c28076917cfcdf9",
            folder="plain_text",
        ),
        types={"label": Label(("entailment", "neutral", "contradiction"))},
    )


TASKS = (
    Task(
        name="copa",
        title="COPA",
        family="sentence completion",
        templates_of=("super_glue", "copa"),
        fields=("premise", "choice1", "choice2", "question", "label"),
        content=("premise",),
        label=_label,
        choices=2,
        shots=32,
        hub=_super_glue("copa"),
        types={"question": Word(("cause", "effect")), "label": Label(("choice1", "choice2"))},
        first_templates=8,
    ),
    Task(
        name="hellaswag",
        title="H-SWAG",
        family="sentence completion",
        templates_of=("hellaswag", None),
        fields=("activity_label", "ctx_a", "ctx_b", "ctx", "endings", "label"),
        content=("activity_label", "ctx_a", "ctx_b", "ctx"),
        label=_label,  # a string in the dataset
        choices=4,
        shots=20,
        hub=HubSource("Rowan/hellaswag", None, revision="218ec52e09a7e7462a5400043bb9a69a41d06b76", folder="data"),
        types={"endings": Texts(4), "label": Word(_DIGITS)},
    ),
    Task(
        name="story_cloze",
        title="StoryCloze",
        family="sentence completion",
        templates_of=("story_cloze", "2016"),
        fields=(*_STORY, "sentence_quiz1", "sentence_quiz2", "answer_right_ending"),
        content=_STORY,
        label=lambda row: int(row["answer_right_ending"]) - 1,
        choices=2,
        shots=70,
        hub=HubSource(
            "story_cloze",
            "2016",
            "validation",
            "test",
            by_hand="ask its authors for the CSV files (cs.rochester.edu/nlp/rocstories), put them as they are into "
            "DIR/story_cloze, and give --data-root DIR",
            by_hand_files={"validation": "cloze_test_val__spring2016*.csv", "test": "cloze_test_test__spring2016*.csv"},
            columns={
                **{f"InputSentence{i}": field for i, field in enumerate(_STORY, 1)},
                "RandomFifthSentenceQuiz1": "sentence_quiz1",
                "RandomFifthSentenceQuiz2": "sentence_quiz2",
                "AnswerRightEnding": "answer_right_ending",
            },
        ),
        types={"answer_right_ending": Number(1, 2)},
    ),
    Task(
        name="winogrande",
        title="Winogrande",
        family="coreference resolution",
        templates_of=("winogrande", "winogrande_xl"),
        fields=("sentence", "option1", "option2", "answer"),
        content=("sentence",),
        label=lambda row: int(row["answer"]) - 1,
        choices=2,
        shots=50,
        hub=HubSource("allenai/winogrande", "winogrande_xl", revision="01e74176c63542e6b0bcb004dcdea22d94fb67b5"),
        types={"answer": Word(("1", "2"))},
    ),
    Task(
        name="wsc",
        title="WSC",
        family="coreference resolution",
        templates_of=("super_glue", "wsc.fixed"),
        fields=("text", "span1_text", "span2_text", "span2_index", "label"),
        content=("text", "span1_text"),  # by the pronoun, span2_text, templates decide between "is" and "are"
        label=_label,
        choices=2,
        shots=32,
        hub=_super_glue("wsc.fixed"),
        types={"span2_index": Number(), "label": Label(("False", "True"))},
    ),
    Task(
        name="wic",
        title="WiC",
        family="word sense disambiguation",
        templates_of=("super_glue", "wic"),
        fields=("word", "sentence1", "sentence2", "label"),
        content=("word", "sentence1", "sentence2"),
        label=_label,
        choices=2,
        shots=32,
        hub=_super_glue("wic"),
        types={"label": Label(("False", "True"))},
    ),
    Task(
        name="rte",
        title="RTE",
        family="natural language inference",
        templates_of=("super_glue", "rte"),
        fields=_NLI,
        content=_NLI[:2],
        label=_label,
        choices=2,
        shots=32,
        hub=_super_glue("rte"),
        types={"label": Label(("entailment", "not_entailment"))},
    ),
    Task(
        name="cb",
        title="CB",
        family="natural language inference",
        templates_of=("super_glue", "cb"),
        fields=_NLI,
        content=_NLI[:2],
        label=_label,
        choices=3,
        shots=32,
        hub=_super_glue("cb"),
        types={"label": Label(("entailment", "contradiction", "neutral"))},
    ),
    *(_anli(round_) for round_ in (1, 2, 3)),
)
