"""Peak memory of a training step against the number of answer choices, with and without decoding in parts."""

import multiprocessing
import resource
import sys
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
    vocabulary = backbone.config.vocab_size

    def step(count: int) -> None:
        batch = workloads.batch(0, vocabulary, choices=count)
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
    axes.plot(choices, [row["whole"] / 1e6 for row in rows], marker="o", label="all at once")
    axes.plot(choices, [row["parts"] / 1e6 for row in rows], marker="s", label="in parts")
    axes.set(xlabel="answer choices", ylabel="MB above one choice")
    axes.legend(frameon=False)
    figure.savefig(file)
    plt.close(figure)


def command(
    model: report.ModelName = "t5-small",
    json: report.File = None,
    figure: Annotated[Path | None, typer.Option(help="Draw it to this file.")] = None,
) -> None:
    """Measure the peak memory of a training step's losses and gradients, for 2 to 77 choices; each in a new process.

    Examples:
        python -m experiments.benchmarks.choice_memory
        python -m experiments.benchmarks.choice_memory --json choice_memory.json --figure choice_memory.svg
    """
    context = multiprocessing.get_context("spawn")
    rows: list[dict[str, float]] = []
    for choices in CHOICES:
        peaks = []
        for tokens in (10**9, PART):
            with context.Pool(1) as pool:
                peaks.append(pool.apply(_peak_bytes, (model, choices, tokens)))
        rows.append({"choices": choices, "whole": peaks[0], "parts": peaks[1]})
    columns = (
        Column("choices", "choices", "right"),
        Column("whole", "all at once, MB", "right", lambda value: f"{value / 1e6:.0f}"),
        Column("parts", f"in parts of {PART} tokens, MB", "right", lambda value: f"{value / 1e6:.0f}"),
    )
    report.report("Peak memory above that of one choice", rows, columns, json, model=model)
    if figure is not None:
        _figure(rows, figure)


if __name__ == "__main__":
    report.start(command)
