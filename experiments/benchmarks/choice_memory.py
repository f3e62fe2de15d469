"""Peak memory of a training step above that of one with a single choice, by the number of answer choices.

Decoded all at once, and in parts. Differences of some 20 MB are the
allocator's.
"""

import multiprocessing
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from experiments.benchmarks import report, workloads
from experiments.benchmarks.contenders import Ours
from experiments.output import Column
from tfew_pl import ranking

CHOICES = (2, 4, 8, 16, 32, 77)
PART = 256
"""Tokens of choices that are decoded at once."""


def _peak_bytes(model: str, choices: int, tokens: int) -> int:
    """What a step adds to the peak of a process that has done a step of one choice."""
    torch.set_num_threads(1)
    ours = Ours(workloads.plain_model(model))
    adaptation, backbone = ours.adaptation, ours.module.backbone
    every = workloads.batch(0, backbone.config.vocab_size, choices=choices)

    def step(count: int) -> None:
        batch = replace(
            every,
            choice_ids=every.choice_ids[:, :count],
            choice_mask=every.choice_mask[:, :count],
            gold=torch.zeros_like(every.gold),
        )
        scores = ranking.score_choices(backbone, batch, complement=True, within=adaptation.passes(None), tokens=tokens)
        (scores.log_probability.sum() + scores.log_complement.sum()).backward()

    step(1)
    before = _peak()
    step(choices)
    return _peak() - before


def _peak() -> int:
    """Most bytes that this process has had in memory; where it can be told, without those of the one it came from."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _figure(rows: list[dict[str, float]], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    choices = [row["choices"] for row in rows]
    axes.plot(choices, [row["whole_mb"] for row in rows], marker="o", label="all at once")
    axes.plot(choices, [row["parts_mb"] for row in rows], marker="s", label="in parts")
    axes.set(xlabel="answer choices", ylabel="MB above one choice")
    axes.legend(frameon=False)
    figure.savefig(file)
    plt.close(figure)


def command(
    model: report.ModelName = "t5-small",
    processes: Annotated[int, typer.Option(min=1, help="The least of so many, as an allocator's holes vary.")] = 3,
    json: report.File = None,
    figure: Annotated[Path | None, typer.Option(help="Draw it to this file.")] = None,
) -> None:
    """Measure the peak memory of a training step's losses and gradients, for 2 to 77 choices; each in new processes.

    Examples:
        python -m experiments.benchmarks.choice_memory
        python -m experiments.benchmarks.choice_memory --json choice_memory.json --figure choice_memory.svg
    """
    context = multiprocessing.get_context("spawn")
    rows: list[dict[str, float]] = []
    for choices in CHOICES:
        peaks = []
        for tokens in (10**9, PART):
            with context.Pool(1, maxtasksperchild=1) as pool:
                peaks.append(min(pool.starmap(_peak_bytes, [(model, choices, tokens)] * processes, chunksize=1)))
        rows.append({"choices": choices, "whole_mb": peaks[0] / 1e6, "parts_mb": peaks[1] / 1e6})
    columns = (
        Column("choices", "choices", "right"),
        Column("whole_mb", "all at once, MB", "right", "{:.0f}".format),
        Column("parts_mb", f"in parts of {PART} tokens, MB", "right", "{:.0f}".format),
    )
    report.report("Peak memory above that of one choice", rows, columns, json, model=model, processes=processes)
    if figure is not None:
        _figure(rows, figure)


if __name__ == "__main__":
    report.start(command)
