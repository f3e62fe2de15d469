"""Rank classification with (IA)3: ours, and the PEFT library as its users write it."""

import torch

from experiments.benchmarks import report, timing, workloads
from experiments.benchmarks.contenders import Ours, Peft, contenders
from tfew_pl.choices import ChoiceBatch
from tfew_pl.datamodule import CPU_EVALUATION_TOKENS, EvaluationBatches
from tfew_pl.encoding import Encoded, collate

EXAMPLES = 32
"""That are ranked in a round."""


def _as_they_come(examples: list[Encoded]) -> list[ChoiceBatch]:
    """Batches of 8, as users of the library make them."""
    parts = range(0, len(examples), workloads.BATCH_SIZE)
    return [collate(examples[first : first + workloads.BATCH_SIZE]) for first in parts]


def _sorted(examples: list[Encoded]) -> list[ChoiceBatch]:
    """Batches of similar length, by a budget of tokens, as we make them."""
    batches = EvaluationBatches(examples, CPU_EVALUATION_TOKENS)
    return [batches[number] for number in range(len(batches))]


BATCHES = {"batches of 8": _as_they_come, "sorted batches": _sorted}


def _rank(one: Ours | Peft, batches: list[ChoiceBatch]) -> None:
    for batch in batches:
        one.rank(batch)


def command(
    model: report.ModelName = "t5-small",
    rounds: report.Rounds = 10,
    threads: report.Threads = 2,
    clock: report.ClockName = "wall",
    json: report.File = None,
) -> None:
    """Rank classification with (IA)3 of 32 examples, inputs of 40-140 tokens, 4 choices, in fp32.

    All are measured with both kinds of batches; making them is part of it.

    Examples:
        python -m experiments.benchmarks.rank_classification
        python -m experiments.benchmarks.rank_classification --model pocket-t0 --json ranking.json
    """
    torch.set_num_threads(threads)
    found = contenders(lambda: workloads.plain_model(model))
    vocabulary = workloads.plain_model(model).config.vocab_size
    sets = [workloads.examples(seed, vocabulary, size=EXAMPLES) for seed in range(rounds)]
    variants = {
        f"{name}, {kind}": lambda number, one=one, make=make: _rank(one, make(sets[number]))
        for name, one in found.items()
        for kind, make in BATCHES.items()
    }
    seconds = timing.interleaved(variants, rounds, clock)
    rows = timing.rows(seconds, "ours, sorted batches")
    report.report(
        f"Rank classification with (IA)3, {EXAMPLES} examples", rows, report.TIMES, json,
        model=model, rounds=rounds, threads=threads, clock=clock,
        float32_matmul_precision=torch.get_float32_matmul_precision(),
    )  # fmt: skip


if __name__ == "__main__":
    report.start(command)
