"""T0-3B's shapes on a GPU: T-Few's step in bf16 with random weights, ours and the PEFT library."""

import time
from typing import Annotated, Any

import torch
import typer
from transformers import T5Config, T5ForConditionalGeneration

from experiments.benchmarks import report, workloads
from experiments.benchmarks.contenders import Ours, Peft
from experiments.output import Column
from tfew_pl.costs import count_flops
from tfew_pl.errors import UserError
from tfew_pl.ranking import ChoiceBatch

STEPS = 1000
INPUT_TOKENS = (90, 100)
"""With 3 choices of a few tokens, an example has some 103 tokens in all (Section 4.2)."""


def _t0_3b() -> T5ForConditionalGeneration:
    """T0-3B's shape with random weights in bf16, on the GPU."""
    config = T5Config(
        vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_decoder_layers=24, num_heads=32,
        feed_forward_proj="gated-gelu", dropout_rate=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = T5ForConditionalGeneration(config).bfloat16()
    model.set_attn_implementation("sdpa")
    return model.eval()


def _measured(one: Any, batches: list[ChoiceBatch], peak: float) -> dict[str, float]:
    """Seconds of 1,000 steps, share of the peak, and peak memory; with the model as the only one on the GPU."""
    one.step(batches[0])
    flops = count_flops(lambda: one.step(batches[0]))
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for batch in batches:
        one.step(batch)
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - start) / len(batches)
    return {
        "seconds": seconds * STEPS,
        "mfu": flops / seconds / peak,
        "memory": torch.cuda.max_memory_allocated() / 1e9,
    }


def command(
    peak: Annotated[float, typer.Option(help="The GPU's peak in bf16, TFLOP/s; an H100's is 989.")] = 989.0,
    steps: Annotated[int, typer.Option(help="Steps that are timed.", min=1)] = 50,
    json: report.File = None,
) -> None:
    """Time T-Few's 1,000 steps on T0-3B's shapes: batches of 8, 2-4 choices, bf16; needs a CUDA GPU of 40 GB.

    Examples:
        python -m experiments.benchmarks.gpu --json gpu.json
    """
    if not torch.cuda.is_available():
        raise UserError("this benchmark needs a CUDA GPU, and there is none here; the others run on a CPU")
    rows = []
    makers: dict[str, tuple[int, Any]] = {
        "ours": (1, lambda: Ours(_t0_3b())),
        "ours, 5 slots": (5, lambda: Ours(_t0_3b(), 5)),
        "PEFT, choices as rows": (1, lambda: Peft(_t0_3b(), shared_encoder=False)),
        "PEFT, encoder shared": (1, lambda: Peft(_t0_3b(), shared_encoder=True)),
    }
    for name, (slots, make) in makers.items():
        one = make()
        batches = [
            workloads.batch(seed, 32128, choices=2 + seed % 3, inputs=INPUT_TOKENS, slots=slots).to(
                torch.device("cuda")
            )
            for seed in range(steps)
        ]
        measured = _measured(one, batches, peak * 1e12)
        rows.append({"variant": name, **measured, "seconds_a_run": measured["seconds"] / slots})
        del one
        torch.cuda.empty_cache()
    columns = (
        Column("variant", "variant"),
        Column("seconds", "s for 1,000 steps", "right", "{:.0f}".format),
        Column("seconds_a_run", "s a run", "right", "{:.0f}".format),
        Column("mfu", "MFU", "right", "{:.2f}".format),
        Column("memory", "peak GB", "right", "{:.1f}".format),
    )
    report.report("T-Few on T0-3B's shapes", rows, columns, json, steps=steps, peak_tflops=peak)


if __name__ == "__main__":
    report.start(command)
