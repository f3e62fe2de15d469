"""`tfew backbones`: the backbones with a short name, and which are on this machine."""

from pathlib import Path
from typing import Any

from experiments.output import JSON, Column, show_json, show_table
from experiments.quantities import size

_COLUMNS = (
    Column("name", "backbone"),
    Column("summary", "what it is"),
    Column("where", "where"),
    Column("present", "here", show=lambda present: "yes" if present else "no"),
    Column("bytes", "size", "right", size),
)


def _folder_bytes(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


def _cached(repository: str) -> Path:
    """Where the hub's client keeps a repository that it has downloaded."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def rows() -> list[dict[str, Any]]:
    """A row a backbone: the embedded ones, then the hub's."""
    from tfew_pl.backbones import ALIASES

    listed = []
    for name, alias in ALIASES.items():
        folder = Path(alias.source) if alias.is_local else _cached(alias.source)
        # A download that has only begun has blobs, but no weights under a snapshot's names.
        present = any(folder.glob("*.safetensors")) or any(
            next(folder.glob(pattern), None) for pattern in ("snapshots/*/*.safetensors", "snapshots/*/*.bin")
        )
        listed.append(
            {
                "name": name,
                "summary": alias.summary,
                "where": "in the package" if alias.is_local else f"hub: {alias.source}",
                "present": present,
                "bytes": _folder_bytes(folder) if present else None,
            }
        )
    return listed


def command(json: JSON = False) -> None:
    """List the backbones and say which are on this machine.

    A hub id or a folder is a backbone too; these are those with a short name.

    Examples:
        tfew backbones
        tfew backbones --json
    """
    if json:
        show_json(rows())
    else:
        show_table(rows(), _COLUMNS)
