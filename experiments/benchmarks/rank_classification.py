"""Rank classification with (IA)3: ours, and the PEFT library as its users write it."""

import torch

from experiments.benchmarks import report, timing, workloads
from experiments.benchmarks.contenders import contenders


def command(
    model: report.ModelName = "t5-small",
    rounds: report.Rounds = 10,
    threads: report.Threads = 2,
    clock: report.ClockName = "wall",
    json: report.File = None,
) -> None:
    """Rank classification with (IA)3, batches of 8, inputs of 40-140 tokens, 4 choices, in fp32, without dropout.

    Examples:
        python -m experiments.benchmarks.rank_classification
        python -m experiments.benchmarks.rank_classification --model pocket-t0 --json ranking.json
    """
    torch.set_num_threads(threads)
    found = contenders(lambda: workloads.plain_model(model))
    vocabulary = workloads.plain_model(model).config.vocab_size
    batches = [workloads.batch(seed, vocabulary) for seed in range(rounds)]
    variants = {name: lambda number, one=one: one.rank(batches[number]) for name, one in found.items()}
    seconds = timing.interleaved(variants, rounds, clock)
    report.report(
        "Rank classification with (IA)3", timing.rows(seconds, "ours"), report.TIMES, json,
        model=model, rounds=rounds, threads=threads, clock=clock,
        float32_matmul_precision=torch.get_float32_matmul_precision(),
    )  # fmt: skip


if __name__ == "__main__":
    report.start(command)
