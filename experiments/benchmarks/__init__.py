"""Benchmarks of the core and the runner, each a command: `python -m experiments.benchmarks.NAME [--json FILE]`.

training_step, rank_classification: ours against the PEFT library; slots: several runs in one pass; choice_memory:
memory against the number of answer choices; matrix_products: what the time is spent on; gpu: T0-3B's shapes on a GPU;
runner_overhead: what the runner costs beside its runs.
Variants take turns in one process, so that what else the machine does falls on all of them alike.
"""
