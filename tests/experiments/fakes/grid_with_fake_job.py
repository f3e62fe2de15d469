"""`tfew grid` with a fake job: JOB (an expression over fake_job, path) STORE ARGUMENT..."""

import functools
import sys
from pathlib import Path

import fake_job

import experiments.grid
import experiments.launchers.choose
from experiments.cli import main

if __name__ == "__main__":
    expression, store, *arguments = sys.argv[1:]
    job = eval(expression, {"fake": fake_job, "store": Path(store)})
    experiments.launchers.choose.RunAndSave = lambda *_, **__: job  # type: ignore[assignment,misc]
    experiments.grid.load_grid = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    main(["grid", *arguments, "--store", store])
