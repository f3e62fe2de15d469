"""`tfew split`: the official few-shot split."""

from typing import Annotated

import typer

from experiments.output import JSON, show_json


def command(
    task: Annotated[str, typer.Option(help="Task, which has a few-shot size of its own.")],
    seed: Annotated[
        int,
        typer.Option(help="Few-shot seed; the official ones are 42, 1024, 0, 1, 32.", min=0, max=2**32 - 1),
    ] = 42,
    size: Annotated[
        int | None, typer.Option(help="Size of the training set; that of the pocket data if left out.", min=1)
    ] = None,
    shots: Annotated[
        int | None, typer.Option(help="Few-shot examples; the task's own number if left out.", min=1)
    ] = None,
    json: JSON = False,
) -> None:
    """Print the examples of an official few-shot split, by index.

    Examples:
        tfew split --task rte --seed 42 --size 2490
        tfew split --task rte --seed 42 --size 2490 --json
    """
    from tfew_pl.tasks import get_task
    from tfew_pl.tasks.data import POCKET, load_data
    from tfew_pl.tasks.splits import few_shot_indices

    known = get_task(task)
    examples = size or len(load_data(task, POCKET).train)
    indices = few_shot_indices(examples, shots or known.shots, seed)
    if json:
        show_json(indices)
    else:
        typer.echo(" ".join(map(str, indices)))
