"""FLOPs of finished runs, counted anew: what is compared is then counted by one version of the code."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from tfew_pl.accounting import count_flops
from tfew_pl.attachment import attach
from tfew_pl.backbones import Backbone, load_backbone
from tfew_pl.errors import UserError
from tfew_pl.module import TFewModule
from tfew_pl.preparation import PreparedRun, prepare
from tfew_pl.registry import registered_classifiers
from tfew_pl.resolve import resolve
from tfew_pl.spec import IN_CONTEXT, RunSpec


def recount(specs: Sequence[RunSpec]) -> Iterator[tuple[RunSpec, float, float]]:
    """Counts the FLOPs of runs without training them: a batch is scored, and a first step computed and thrown away.

    A step is counted as one of whole batches, whatever room the machine had that trained.

    Args:
        specs: in any order; those of one backbone and task are counted together. Classifiers, which count for
            themselves, are left out.

    Yields:
        Each spec, the FLOPs of one of its predictions and those of its training.

    Raises:
        UserError: before anything is counted, for every run whose backbone, data or initial adaptation are not those
            that it was run with.
    """
    counted = [spec for spec in specs if spec.method not in registered_classifiers()]
    problems = [problem for spec in counted if (problem := _problem(spec))]
    if problems:
        raise UserError("\n".join(["runs whose FLOPs cannot be counted:", *problems]))
    together: dict[tuple[str, str], dict[tuple[object, ...], list[RunSpec]]] = defaultdict(lambda: defaultdict(list))
    for spec in counted:
        alone = spec.digest if spec.method == IN_CONTEXT else None  # each holds all its contexts
        together[spec.backbone, spec.precision][spec.task, spec.data, alone].append(spec)
    for (name, precision), of_backbone in together.items():
        backbone = load_backbone(name, precision)
        for of_task in of_backbone.values():
            for run in prepare(of_task, backbone):
                yield (run.spec, *_count(run, backbone))


def _problem(spec: RunSpec) -> str | None:
    try:
        same = resolve(spec) == spec
    except UserError as error:
        return f"  {spec.label()} ({spec.digest}): {error}"
    return None if same else f"  {spec.label()} ({spec.digest}): its backbone, data or initial adaptation have changed"


def _count(run: PreparedRun, backbone: Backbone) -> tuple[float, float]:
    with ExitStack() as stack:
        adaptation = None
        if run.spec.trains:
            adaptation = attach(run, backbone)
            stack.callback(adaptation.detach)
        module = TFewModule(backbone.model, adaptation, run.spec.recipe, choices=1)
        return count_flops(run, module, run.spec.recipe.batch_size)
