"""Rank classification with (IA)3: ours, and the PEFT library as its users write it."""

import torch

from experiments.benchmarks import report, timing, workloads
from experiments.benchmarks.contenders import Ours, Peft, contenders
from tfew_pl.datamodule import CPU_EVALUATION_TOKENS, EvaluationBatches
from tfew_pl.encoding import Encoded, collate

EXAMPLES = 32
"""That are ranked in a round."""


def _rank(one: Ours | Peft, examples: list[Encoded]) -> None:
    """Ranks examples: ours in batches of similar length, by a budget of tokens; else in batches of 8 as they come."""
    if isinstance(one, Ours):
        batches = EvaluationBatches(examples, CPU_EVALUATION_TOKENS)
        for number in range(len(batches)):
            one.rank(batches[number])
        return
    for first in range(0, len(examples), workloads.BATCH_SIZE):
        one.rank(collate(examples[first : first + workloads.BATCH_SIZE]))


def command(
    model: report.ModelName = "t5-small",
    rounds: report.Rounds = 10,
    threads: report.Threads = 2,
    clock: report.ClockName = "wall",
    json: report.File = None,
) -> None:
    """Rank classification with (IA)3 of 32 examples, inputs of 40-140 tokens, 4 choices, in fp32.

    Examples:
        python -m experiments.benchmarks.rank_classification
        python -m experiments.benchmarks.rank_classification --model pocket-t0 --json ranking.json
    """
    torch.set_num_threads(threads)
    found = contenders(lambda: workloads.plain_model(model))
    vocabulary = workloads.plain_model(model).config.vocab_size
    sets = [workloads.examples(seed, vocabulary, size=EXAMPLES) for seed in range(rounds)]
    variants = {name: lambda number, one=one: _rank(one, sets[number]) for name, one in found.items()}
    seconds = timing.interleaved(variants, rounds, clock)
    report.report(
        f"Rank classification with (IA)3, {EXAMPLES} examples", timing.rows(seconds, "ours"), report.TIMES, json,
        model=model, rounds=rounds, threads=threads, clock=clock,
        float32_matmul_precision=torch.get_float32_matmul_precision(),
    )  # fmt: skip


if __name__ == "__main__":
    report.start(command)
