"""The eleven held-out tasks of T0 (Sanh et al. 2022), few-shot sizes of GPT-3 (Brown et al. 2020)."""

from tfew_pl.tasks.task import HubSource, Row, Task


def _label(row: Row) -> int:
    return int(row["label"])


_NLI = ("premise", "hypothesis", "label")


def _anli(round_: int) -> Task:
    return Task(
        name=f"anli_r{round_}",
        title=f"ANLI-R{round_}",
        family="natural language inference",
        templates_of=("anli", None),
        fields=_NLI,
        label=_label,
        choices=3,
        shots=50,
        # The release evaluates ANLI on its test splits.
        hub=HubSource("facebook/anli", None, f"train_r{round_}", f"test_r{round_}"),
    )


TASKS = (
    Task(
        name="copa",
        title="COPA",
        family="sentence completion",
        templates_of=("super_glue", "copa"),
        fields=("premise", "choice1", "choice2", "question", "label"),
        label=_label,
        choices=2,
        shots=32,
        hub=HubSource("aps/super_glue", "copa"),
        first_templates=8,
    ),
    Task(
        name="hellaswag",
        title="H-SWAG",
        family="sentence completion",
        templates_of=("hellaswag", None),
        fields=("activity_label", "ctx_a", "ctx_b", "ctx", "endings", "label"),
        label=_label,  # a string in the dataset
        choices=4,
        shots=20,
        hub=HubSource("Rowan/hellaswag", None),
    ),
    Task(
        name="story_cloze",
        title="StoryCloze",
        family="sentence completion",
        templates_of=("story_cloze", "2016"),
        fields=(
            *(f"input_sentence_{i}" for i in range(1, 5)),
            "sentence_quiz1",
            "sentence_quiz2",
            "answer_right_ending",
        ),
        label=lambda row: int(row["answer_right_ending"]) - 1,
        choices=2,
        shots=70,
        hub=HubSource(
            "story_cloze",
            "2016",
            "validation",
            "test",
            by_hand="its authors give the CSV files on request (cs.rochester.edu/nlp/rocstories)",
        ),
    ),
    Task(
        name="winogrande",
        title="Winogrande",
        family="coreference resolution",
        templates_of=("winogrande", "winogrande_xl"),
        fields=("sentence", "option1", "option2", "answer"),
        label=lambda row: int(row["answer"]) - 1,
        choices=2,
        shots=50,
        hub=HubSource("allenai/winogrande", "winogrande_xl"),
    ),
    Task(
        name="wsc",
        title="WSC",
        family="coreference resolution",
        templates_of=("super_glue", "wsc.fixed"),
        fields=("text", "span1_text", "span2_text", "span2_index", "label"),
        label=_label,
        choices=2,
        shots=32,
        hub=HubSource("aps/super_glue", "wsc.fixed"),
    ),
    Task(
        name="wic",
        title="WiC",
        family="word sense disambiguation",
        templates_of=("super_glue", "wic"),
        fields=("word", "sentence1", "sentence2", "label"),
        label=_label,
        choices=2,
        shots=32,
        hub=HubSource("aps/super_glue", "wic"),
    ),
    Task(
        name="rte",
        title="RTE",
        family="natural language inference",
        templates_of=("super_glue", "rte"),
        fields=_NLI,
        label=_label,
        choices=2,
        shots=32,
        hub=HubSource("aps/super_glue", "rte"),
    ),
    Task(
        name="cb",
        title="CB",
        family="natural language inference",
        templates_of=("super_glue", "cb"),
        fields=_NLI,
        label=_label,
        choices=3,
        shots=32,
        hub=HubSource("aps/super_glue", "cb"),
    ),
    *(_anli(round_) for round_ in (1, 2, 3)),
)
