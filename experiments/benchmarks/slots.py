"""Several runs trained together as slots of one model: a training step's time a run, by the number of slots."""

import torch

from experiments.benchmarks import report, timing, workloads
from experiments.benchmarks.contenders import Ours
from experiments.output import Column

SLOTS = (1, 2, 5, 8, 16)


def command(
    model: report.ModelName = "pocket-t0",
    rounds: report.Rounds = 10,
    threads: report.Threads = 1,
    clock: report.ClockName = "wall",
    json: report.File = None,
) -> None:
    """Time a training step of 1 to 16 slots, a run: each slot has its own batch of 8.

    Examples:
        python -m experiments.benchmarks.slots
        python -m experiments.benchmarks.slots --model t5-small --json slots.json
    """
    torch.set_num_threads(threads)
    vocabulary = workloads.plain_model(model).config.vocab_size
    inputs = (20, 60) if model.startswith("pocket") else workloads.INPUT_TOKENS
    variants = {}
    for count in SLOTS:
        ours = Ours(workloads.plain_model(model), count)
        batches = [workloads.batch(seed, vocabulary, choices=2, inputs=inputs, slots=count) for seed in range(rounds)]
        variants[str(count)] = lambda number, ours=ours, batches=batches: ours.step(batches[number])
    seconds = timing.interleaved(variants, rounds, clock)
    a_run = {name: [value / int(name) for value in values] for name, values in seconds.items()}
    columns = (Column("variant", "slots", "right"), *report.TIMES[1:-1],
               Column("ratio", "times a run alone", "right", "{:.2f}".format))  # fmt: skip
    report.report(
        "A training step, a run", timing.rows(a_run, "1"), columns, json,
        model=model, inputs=inputs, rounds=rounds, threads=threads, clock=clock,
    )  # fmt: skip


if __name__ == "__main__":
    report.start(command)
