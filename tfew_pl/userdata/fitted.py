"""What a fit leaves: a task with the adaptation that was trained for it, as a folder."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfew_pl.adaptation_file import read
from tfew_pl.atomic import new_folder
from tfew_pl.errors import UserError
from tfew_pl.spec import RunSpec
from tfew_pl.userdata.held_out import HeldOut
from tfew_pl.userdata.task import TextTask

FORMAT = "tfew_pl fit 1"
DESCRIPTION = "fit.json"
ADAPTATION = "adaptation.safetensors"
DATA = "table"
"""A spec's source of data where it is a user's rows."""


@dataclass(frozen=True)
class Fitted:
    """A trained task."""

    task: TextTask
    spec: RunSpec
    """How it was trained, with the revisions of backbone and rows."""
    adaptation: bytes
    """The trained parameters as a safetensors file."""
    backbone_digest: str
    """Of the backbone's weights (`adaptation_file.backbone_digest`)."""
    held_out: HeldOut | None
    environment: Mapping[str, Any]
    """Versions, device, threads, commit."""

    def description(self) -> str:
        """All but the parameters, as JSON."""
        values = {
            "format": FORMAT,
            "task": self.task.to_json(),
            "spec": dataclasses.asdict(self.spec),
            "held_out": None if self.held_out is None else dataclasses.asdict(self.held_out),
            "environment": dict(self.environment),
        }
        return json.dumps(values, indent=1, ensure_ascii=False) + "\n"

    def save(self, folder: Path, overwrite: bool = False) -> None:
        """Writes a folder, all of it or nothing.

        Raises:
            UserError: it is there already, or cannot be written; only a folder that this has written is overwritten.
        """
        check_place(folder, overwrite)
        with new_folder(folder, overwrite) as unfinished:
            (unfinished / DESCRIPTION).write_text(self.description(), encoding="utf-8")
            (unfinished / ADAPTATION).write_bytes(self.adaptation)

    @classmethod
    def load(cls, folder: Path) -> "Fitted":
        """Reads a folder that `save` has written.

        Raises:
            UserError: it is none, or a file of it is damaged or from elsewhere.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; `tfew fit` makes one")
        path = folder / DESCRIPTION
        if not path.is_file():
            raise UserError(f"{folder}: no {DESCRIPTION} in it; give a folder that `tfew fit` has made")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise UserError(f"{path}: format {values['format']!r}, expected {FORMAT!r}; fit it again")
            task, spec = TextTask.from_json(values["task"]), RunSpec.from_json(values["spec"])
            held_out = None if values["held_out"] is None else HeldOut(**values["held_out"])
            environment = dict(values["environment"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: damaged ({type(error).__name__}: {error}); fit it again") from error
        adaptation = folder / ADAPTATION
        if not adaptation.is_file():
            if (folder / "config.json").is_file():
                raise UserError(
                    f"{folder}: a merged model; give its name to --backbone, or the fit that it was made of"
                )
            pickles = [p.name for p in sorted(folder.iterdir()) if p.suffix in (".pt", ".pth", ".bin", ".ckpt", ".pkl")]
            instead = f"; {pickles[0]} is a pickle, which could run any code, and is not read" if pickles else ""
            raise UserError(f"{folder}: no {ADAPTATION} in it{instead}")
        digest = _check(adaptation, spec)
        return cls(task, spec, adaptation.read_bytes(), digest, held_out, environment)


def check_place(folder: Path, overwrite: bool, what: str = "") -> None:
    """Refuses to write where something is that must not be replaced.

    Args:
        folder: to write.
        overwrite: whether an earlier fit may be replaced.
        what: names it in the message, such as the option that gave it.

    Raises:
        UserError: something else is there, or a fit that may not be replaced.
    """
    named = f"{what} {folder}".strip()
    if not (folder.exists() or folder.is_symlink()):
        return
    if not overwrite:
        raise UserError(f"{named}: it is there already; name another folder, or add --overwrite")
    if not (folder / DESCRIPTION).is_file():
        raise UserError(f"{named}: no fit is there, and nothing else is overwritten; name another folder")


def _check(path: Path, spec: RunSpec) -> str:
    """The backbone's digest that the file is for, if the file is sound."""
    import torch

    header, tensors = read(path)
    if header["method"] != spec.method:
        raise UserError(f"{path}: an adaptation of method {header['method']}, but {DESCRIPTION} says {spec.method}")
    if header.get("slots") != 1:
        raise UserError(f"{path}: it holds {header.get('slots')} slots, expected one")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name} holds values that are no numbers")
    return str(header["backbone"])
