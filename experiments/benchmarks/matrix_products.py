"""The share of matrix products in a training step's time, and how near they are to the machine's peak.

The peak is the best of ten products of large matrices in fp32.
"""

import time
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from experiments.benchmarks import report, workloads
from experiments.benchmarks.contenders import Ours
from experiments.output import Column
from tfew_pl.allocator import keep_freed_memory
from tfew_pl.costs import count_flops

_PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm")
_PEAK_SIZE = 2048


def _peak() -> float:
    """FLOP/s of the best of ten large products in fp32."""
    one, two = torch.randn(2, _PEAK_SIZE, _PEAK_SIZE).unbind()
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        one @ two
        best = min(best, time.perf_counter() - start)
    return 2 * _PEAK_SIZE**3 / best


def command(
    model: report.ModelName = "t5-small",
    rounds: report.Rounds = 5,
    threads: report.Threads = 2,
    json: report.File = None,
) -> None:
    """Profile training steps of ours: time in matrix products, and their speed against a large product's.

    Examples:
        python -m experiments.benchmarks.matrix_products
        python -m experiments.benchmarks.matrix_products --model pocket-t0 --threads 1 --json matrix_products.json
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    ours = Ours(workloads.plain_model(model))
    vocabulary = ours.module.backbone.config.vocab_size
    batches = [workloads.batch(seed, vocabulary) for seed in range(rounds)]
    ours.step(batches[0])
    flops = sum(count_flops(partial(ours.step, batch)) for batch in batches)
    peak = _peak()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for batch in batches:
            ours.step(batch)
    events = profiler.key_averages()
    total = sum(event.self_cpu_time_total for event in events) / 1e6
    products = sum(event.self_cpu_time_total for event in events if event.key in _PRODUCTS) / 1e6
    row = {
        "share": products / total,
        "speed": flops / products / 1e9,
        "peak": peak / 1e9,
        "of_peak": flops / products / peak,
    }
    columns = (
        Column("share", "share of the time", "right", "{:.2f}".format),
        Column("speed", "GFLOP/s", "right", "{:.0f}".format),
        Column("peak", "peak GFLOP/s", "right", "{:.0f}".format),
        Column("of_peak", "of the peak", "right", "{:.2f}".format),
    )
    report.report("Matrix products of a training step", [row], columns, json, model=model, threads=threads)


if __name__ == "__main__":
    report.start(command)
