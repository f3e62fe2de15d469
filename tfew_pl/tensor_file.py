"""Reading a safetensors file that others may replace or remove meanwhile."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor


def read_tensor_file(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors, both of the same file.

    safetensors opens a file by its name twice, for the header and for the tensors; between the two, somebody may have
    renamed another one into its place. Then it is read again.

    Raises:
        FileNotFoundError: there is none, or no more.
        SafetensorError: it is no safetensors file.
        OSError: it cannot be read.
    """
    while True:
        before = _identity(path)
        try:
            with safe_open(path, framework="pt") as file:
                found = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, RuntimeError, SafetensorError):
            if _identity(path) == before:
                raise
        else:
            if _identity(path) == before:
                return found


def _identity(path: Path) -> tuple[int, ...]:
    """Another one for every file that has had the name."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
