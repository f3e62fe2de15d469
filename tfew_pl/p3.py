"""T0's training mixture: the prompted examples of P3 (Sanh et al. 2022), streamed from the hub or from a folder."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfew_pl.errors import UserError
from tfew_pl.hub import is_offline, require_hub
from tfew_pl.spec import HUB

REPOSITORY = "bigscience/P3"
REVISION = "refs/convert/parquet"
"""The hub's own conversion: `datasets` 4 and later load no scripts."""
INPUT, TARGET = "inputs_pretokenized", "targets_pretokenized"
CAP = 500_000
"""A larger dataset counts as this many examples divided by its number of templates (Sanh et al. 2022, Section 5)."""
SHUFFLE_BUFFER = 1000
_SCORING = "_score_eval"
"""Ending of configurations that hold every answer choice, for evaluation."""

TRAINING_SETS = {
    "adversarial_qa_dbert": 10_000,
    "adversarial_qa_dbidaf": 10_000,
    "adversarial_qa_droberta": 10_000,
    "ag_news": 120_000,
    "amazon_polarity": 3_600_000,
    "app_reviews": 288_065,
    "cnn_dailymail_3.0.0": 287_113,
    "common_gen": 67_389,
    "cos_e_v1.11": 9_741,
    "cosmos_qa": 25_262,
    "dbpedia_14": 560_000,
    "dream": 6_116,
    "duorc_ParaphraseRC": 69_524,
    "duorc_SelfRC": 60_721,
    "gigaword": 3_803_957,
    "glue_mrpc": 3_668,
    "glue_qqp": 363_846,
    "imdb": 25_000,
    "kilt_tasks_hotpotqa": 88_869,
    "multi_news": 44_972,
    "paws_labeled_final": 49_401,
    "qasc": 8_134,
    "quail": 10_246,
    "quarel": 1_941,
    "quartz": 2_696,
    "quoref": 19_399,
    "ropes": 10_924,
    "rotten_tomatoes": 8_530,
    "samsum": 14_732,
    "sciq": 11_679,
    "social_i_qa": 33_410,
    "trec": 5_452,
    "wiki_bio": 582_659,
    "wiki_hop_original": 43_738,
    "wiki_qa": 20_360,
    "wiqa": 29_808,
    "xsum": 204_045,
    "yelp_review_full": 650_000,
}
"""T0's training datasets, as P3 calls them, and their numbers of training examples (Sanh et al. 2022, Table 5)."""


def weights(configurations: Sequence[str]) -> dict[str, float]:
    """How often each of P3's configurations, a dataset through a template, is drawn; those of no use here are left out.

    A configuration counts as many examples as its dataset has, or `CAP` divided by the dataset's templates if the
    dataset is larger than `CAP`: T0's own rule. T-Few's release caps datasets larger than `CAP` divided by their
    templates, and so draws less of those in between.
    """
    found: dict[str, float] = {}
    for dataset, size in TRAINING_SETS.items():
        own = [c for c in configurations if c.startswith(f"{dataset}_") and not c.endswith(_SCORING)]
        found |= dict.fromkeys(own, float(size) if size <= CAP else CAP / max(1, len(own)))
    return found


def examples(seed: int, source: str = HUB) -> Iterator[tuple[str, str]]:
    """The mixture without end.

    Args:
        seed: decides the whole sequence.
        source: `hub`, or a folder with a folder for each configuration, which holds its `train` Parquet files.

    Yields:
        An input text and its target text.

    Raises:
        UserError: the hub cannot be reached, or the folder holds nothing of it.
    """
    shares = weights(_configurations(source))
    if not shares:
        raise UserError(f"the P3 mixture: {source} has none of its training sets, such as ag_news_classify")
    rng = random.Random(f"p3 {seed}")
    names, numbers = list(shares), list(shares.values())
    streams: dict[str, Iterator[tuple[str, str]]] = {}
    while True:
        (name,) = rng.choices(names, numbers)
        if name not in streams:
            streams[name] = _stream(name, seed, source)
        yield next(streams[name])


def _configurations(source: str) -> list[str]:
    if source != HUB:
        return sorted(path.name for path in Path(source).iterdir() if path.is_dir())
    if is_offline():
        raise UserError(
            "the P3 mixture is streamed from the hub, and HF_HUB_OFFLINE says not to ask it: unset that, or give "
            "a folder with its Parquet files by --data-root"
        )
    require_hub("the P3 mixture")
    from huggingface_hub import HfApi, RepoFolder

    try:
        entries = list(HfApi().list_repo_tree(REPOSITORY, revision=REVISION, repo_type="dataset"))
    except OSError as error:
        raise UserError(f"the P3 mixture: cannot list {REPOSITORY}: {str(error).splitlines()[0]}") from error
    return sorted(entry.path for entry in entries if isinstance(entry, RepoFolder))


def _files(name: str, source: str) -> str:
    """The training files of a configuration; of a very large one, the hub converts the first part only."""
    if source == HUB:
        return f"hf://datasets/{REPOSITORY}@{REVISION.replace('/', '%2F')}/{name}/*train/*.parquet"
    # A folder as the hub's conversion, or as the hub's newer layout.
    nested = any(Path(source, name).glob("*train/*.parquet"))
    return str(Path(source, name, "*train/*.parquet" if nested else "train*.parquet"))


def _stream(name: str, seed: int, source: str) -> Iterator[tuple[str, str]]:
    """A configuration's examples, again and again, each time in an order of its own."""
    import datasets

    files = _files(name, source)
    try:
        rows: Any = datasets.load_dataset(
            "parquet", data_files={"train": files}, split="train", streaming=True, columns=[INPUT, TARGET]
        )
        rows = rows.reshard()  # a shard is now a group of rows, so that shuffling reaches the whole of a file
        for epoch in range(1 << 30):
            order = random.Random(f"p3 {seed} {name} {epoch}").randrange(1 << 31)
            empty = True
            # One shard after another, in an order of the pass's own: of several at once, each configuration would have
            # as many threads, hundreds of which are waited for seconds each when a training ends.
            for row in rows.shuffle(seed=order, buffer_size=SHUFFLE_BUFFER, max_buffer_input_shards=1):
                text, target = _text(row, INPUT, name), _text(row, TARGET, name)
                if target:
                    empty = False
                    yield text, target
            if empty:
                raise UserError(f"the P3 mixture: {name} has no examples in {files}")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = re.split(r"[\r\n]", str(error).strip())[0]
        raise UserError(f"the P3 mixture: cannot read {name} from {files}: {reason}") from error


def _text(row: Mapping[str, object], field: str, name: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise UserError(f"the P3 mixture: {name} has no texts under {field}; it has {', '.join(row)}")
    return value.strip()
