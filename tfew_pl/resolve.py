"""Checking a spec before any weight is loaded, and pinning the revisions of its inputs."""

import dataclasses
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tfew_pl import backbones
from tfew_pl.errors import UserError
from tfew_pl.hub import HubUnreachableError
from tfew_pl.quantization import require_library
from tfew_pl.registry import check_method, get_method, registered_classifiers, registered_methods
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Revisions, RunSpec
from tfew_pl.tasks import task_of
from tfew_pl.tasks.data import load_data

_VECTORS = Path(__file__).parent / "pocket" / "checkpoints"
PRETRAINED = {("ia3", "pocket-t0"): _VECTORS / "pocket-t0-ia3.safetensors"}
"""Adaptations pre-trained on a backbone's multitask mixture (Section 3.4), by method and backbone."""
PRETRAINABLE = ("ia3",)
"""Methods that the paper pre-trains."""


def initial_adaptation(spec: RunSpec) -> Path | None:
    """The pre-trained adaptation that training starts from; None where the recipe or the method has none.

    Raises:
        UserError: the recipe asks for one, but none is known for this backbone.
    """
    if not (spec.trains and spec.recipe.pretrained and spec.method in PRETRAINABLE):
        return None
    if spec.initial is not None:
        from tfew_pl.adaptation_file import read

        path = Path(spec.initial)
        method = read(path)[0]["method"]
        if method != spec.method:
            raise UserError(f"--initial {path}: an adaptation of method {method}, not {spec.method}")
        return path
    known = PRETRAINED.get((spec.method, spec.backbone))
    if known is None or not known.is_file():
        raise UserError(
            f"no pre-trained {spec.method} vectors are known for backbone {spec.backbone}: give their file with "
            f"--initial (`tfew pretrain` makes one, `tfew import` reads the release's), or train from scratch: "
            f"--without pretraining, or in a grid file `without: [pretraining]`"
        )
    return known


@cache
def _file_digest(path: Path) -> str:
    """A grid of thousands of runs asks for the same few files."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def resolve(spec: RunSpec) -> RunSpec:
    """The spec with the revisions of its backbone, data and initial adaptation filled in.

    Raises:
        UserError: the spec cannot be run; the message lists every reason.
    """
    problems: list[str] = []

    def attempt(check: Callable[[], str]) -> str:
        try:
            return check()
        except HubUnreachableError:
            raise
        except UserError as error:
            problems.append(str(error))
            return ""

    def backbone() -> str:
        if spec.method in registered_classifiers():
            from tfew_pl.text_classifier import check_classifier

            return check_classifier(spec)
        revision = backbones.revision(spec.backbone)
        kind = backbones.kind(spec.backbone)
        if spec.trains and not kind.encoder_decoder:
            raise UserError(
                f"backbone {spec.backbone}: a causal {kind.model_type} can do in-context learning (--method "
                f"{IN_CONTEXT}); method {spec.method} needs one of the T5 family"
            )
        require_library(spec.precision)
        return revision

    def method() -> str:
        if spec.initial is not None and not (spec.recipe.pretrained and spec.method in PRETRAINABLE):
            raise UserError(
                f"--initial {spec.initial}: the run would not start from it: only {', '.join(PRETRAINABLE)} does, "
                f"without `--without pretraining`"
            )
        if spec.trains:
            check_method(spec.method)
            if spec.options and spec.method in registered_methods():
                get_method(spec.method, spec.options)
        return ""

    def initial() -> str:
        path = initial_adaptation(spec)
        return "" if path is None else _file_digest(path)

    def data() -> str:
        task, loaded = task_of(spec), load_data(spec.task, spec.data)
        shots = spec.shots or task.shots
        if spec.method != ZERO_SHOT and shots > len(loaded.train):
            raise UserError(f"task {spec.task}: {shots} shots asked of {len(loaded.train)} training examples")
        return f"{loaded.fingerprint}-{task.revision}" if task.revision else loaded.fingerprint

    attempt(method)
    revisions = Revisions(
        backbone=attempt(backbone),
        data=attempt(data),
        initial=attempt(initial),
    )
    if problems:
        raise UserError("; ".join(dict.fromkeys(problems)))
    return dataclasses.replace(spec, revisions=revisions)
