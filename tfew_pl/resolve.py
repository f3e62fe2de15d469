"""Checking a spec before any weight is loaded, and pinning the revisions of its inputs."""

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from tfew_pl import backbones
from tfew_pl.errors import UserError
from tfew_pl.hub import HubUnreachableError
from tfew_pl.naming import look_up
from tfew_pl.registry import get_method, registered_methods
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Revisions, RunSpec
from tfew_pl.tasks import get_task
from tfew_pl.tasks.data import load_data

_VECTORS = Path(__file__).parent / "pocket" / "checkpoints"
PRETRAINED = {("ia3", "pocket-t0"): _VECTORS / "pocket-t0-ia3.safetensors"}
"""Adaptations pre-trained on a backbone's multitask mixture (Section 3.4), by method and backbone."""
PRETRAINABLE = ("ia3",)
"""Methods that the paper pre-trains."""


def initial_adaptation(spec: RunSpec) -> Path | None:
    """The pre-trained adaptation that training starts from: one that was imported for the backbone, else the one that
    ships; None where the recipe or the method has none.

    Raises:
        UserError: the recipe asks for one, but none is known for this backbone.
    """
    if not (spec.trains and spec.recipe.pretrained and spec.method in PRETRAINABLE):
        return None
    for path in (imported_adaptation(spec.method, spec.backbone), PRETRAINED.get((spec.method, spec.backbone))):
        if path is not None and path.is_file():
            return path
    raise UserError(
        f"no pre-trained {spec.method} vectors are known for backbone {spec.backbone}: import the release's with "
        f"`tfew import FILE --backbone {spec.backbone}`, or train from scratch with --without pretraining"
    )


def imported_adaptation(method: str, backbone: str) -> Path:
    """Where `tfew import` keeps the adaptation that training on a backbone starts from; it may not be there.

    The folder is TFEW_HOME, else `tfew` in XDG_DATA_HOME or ~/.local/share.
    """
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    home = Path(os.environ.get("TFEW_HOME") or data / "tfew")
    name = backbones.ALIASES[backbone].source if backbone in backbones.ALIASES else str(backbone)
    return home / "adaptations" / f"{method}-{re.sub(r'[^A-Za-z0-9.]+', '-', name).strip('-')}.safetensors"


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

    def method() -> str:
        if spec.trains:
            look_up("method", spec.method, {**registered_methods(), ZERO_SHOT: None, IN_CONTEXT: None})
            if spec.options:
                get_method(spec.method, spec.options)
        return ""

    def initial() -> str:
        path = initial_adaptation(spec)
        return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    def data() -> str:
        task, loaded = get_task(spec.task), load_data(spec.task, spec.data)
        shots = spec.shots or task.shots
        if spec.method != ZERO_SHOT and shots > len(loaded.train):
            raise UserError(f"task {spec.task}: {shots} shots asked of {len(loaded.train)} training examples")
        return loaded.fingerprint

    attempt(method)
    revisions = Revisions(
        backbone=attempt(lambda: backbones.revision(spec.backbone)),
        data=attempt(data),
        initial=attempt(initial),
    )
    if problems:
        raise UserError("; ".join(problems))
    return dataclasses.replace(spec, revisions=revisions)
