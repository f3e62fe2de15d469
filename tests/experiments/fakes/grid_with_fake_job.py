"""`tfew grid` with a fake job: STORE SECONDS FAILS ARGUMENT..."""

import functools
import sys
from pathlib import Path

import fake_job

import experiments.grid
import experiments.job
from experiments.cli import main

if __name__ == "__main__":
    store, seconds, fails, *arguments = sys.argv[1:]
    job = fake_job.FakeJob(Path(store), fails, float(seconds))
    experiments.job.RunAndSave = lambda *_: job  # type: ignore[assignment,misc]
    experiments.grid.load_grid = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    main(["grid", *arguments, "--store", store])
