"""T0-3B's shapes on a GPU: T-Few's step in bf16 with random weights, ours and the PEFT library."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated

import torch
import typer
from transformers import T5Config, T5ForConditionalGeneration

from experiments.benchmarks import report, workloads
from experiments.benchmarks.contenders import Ours, Peft
from experiments.output import Column
from tfew_pl.choices import ChoiceBatch
from tfew_pl.costs import PeakMemory, count_flops
from tfew_pl.errors import UserError

STEPS = 1000
INPUT_TOKENS = (90, 100)
"""With 3 choices of a few tokens, an example has some 103 tokens in all (Section 4.2)."""
T0_3B = {"vocab_size": 32128, "d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24, "num_heads": 32}
TINY = {"vocab_size": 512, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
VARIANTS: dict[str, tuple[int, Callable[[T5ForConditionalGeneration], Ours | Peft]]] = {
    "ours": (1, Ours),
    "ours, 5 slots": (5, lambda model: Ours(model, 5)),
    "PEFT, choices as rows": (1, lambda model: Peft(model, shared_encoder=False)),
    "PEFT, encoder shared": (1, lambda model: Peft(model, shared_encoder=True)),
}
"""Slots, and what puts (IA)3 on a model."""


def _model(sizes: Mapping[str, int], device: torch.device) -> T5ForConditionalGeneration:
    """A T5 v1.1 of that size with random weights in bf16."""
    config = T5Config(**sizes, feed_forward_proj="gated-gelu", dropout_rate=0.0)  # type: ignore[arg-type]
    torch.manual_seed(0)
    with torch.device(device):
        model = T5ForConditionalGeneration(config).bfloat16()
    model.set_attn_implementation("sdpa")
    return model.eval()


def _measured(one: Ours | Peft, batches: list[ChoiceBatch], peak: float) -> dict[str, float]:
    """Seconds of 1,000 steps, share of the peak, and peak memory; with the model as the only one on its device."""
    device = batches[0].input_ids.device
    one.step(batches[0])
    flops = count_flops(lambda: one.step(batches[0]))
    if device.type == "cuda":
        torch.cuda.synchronize()
    memory = PeakMemory()
    start = time.perf_counter()
    for batch in batches:
        one.step(batch)
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - start) / len(batches)
    return {"seconds": seconds * STEPS, "mfu": flops / seconds / peak, "memory": memory.of(device) / 1e9}


def command(
    peak: Annotated[float, typer.Option(help="The GPU's peak in bf16, TFLOP/s; an H100's is 989.")] = 989.0,
    steps: Annotated[int, typer.Option(help="Steps that are timed.", min=1)] = 50,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do it all with a tiny model on the CPU; the numbers mean nothing.")
    ] = False,
    json: report.File = None,
) -> None:
    """Time T-Few's 1,000 steps on T0-3B's shapes: batches of 8, 2-4 choices, bf16; needs a CUDA GPU of 40 GB.

    Examples:
        python -m experiments.benchmarks.gpu --json gpu.json
        python -m experiments.benchmarks.gpu --dry-run --steps 2
    """
    if not torch.cuda.is_available() and not dry_run:
        raise UserError(
            f"this benchmark needs a CUDA GPU, and there is none here: it would time {steps} steps of "
            f"{'; '.join(VARIANTS)}, on random weights of T0-3B's shape in bf16; --dry-run does so with a tiny model"
        )
    device, sizes = (torch.device("cpu"), TINY) if dry_run else (torch.device("cuda"), T0_3B)
    rows = []
    for name, (slots, put) in VARIANTS.items():
        one = put(_model(sizes, device))
        batches = [
            workloads.batch(seed, sizes["vocab_size"], choices=2 + seed % 3, inputs=INPUT_TOKENS, slots=slots).to(
                device
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
    title = "A dry run, whose numbers mean nothing" if dry_run else "T-Few on T0-3B's shapes"
    report.report(title, rows, columns, json, steps=steps, peak_tflops=peak)


if __name__ == "__main__":
    report.start(command)
