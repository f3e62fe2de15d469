"""The weight files of a backbone's folder: which they are, what identifies them, and single tensors of them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tfew_pl.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

PATTERNS = ("*.safetensors", "*.bin")
"""Of weight files, the preferred one first. `.bin` files are read by PyTorch's restricted unpickler, which makes
tensors and nothing else."""
_NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin")
_WHOLE_BYTES = 1 << 28
_BLOCK_BYTES = 1 << 20
_BLOCKS = 128
_TIED = ("shared.weight", "lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
"""Names under which a T5 with one table of embeddings may keep it."""


def weight_files(folder: Path) -> list[Path]:
    """The folder's weight files, shards in order: safetensors where there are any, else `.bin`.

    Raises:
        UserError: there are none.
    """
    for pattern in PATTERNS:
        files = sorted(path for path in folder.glob(pattern) if path.name not in _NOT_WEIGHTS)
        if files:
            return files
    raise UserError(f"{folder} holds no weights: neither {' nor '.join(PATTERNS)}")


def digest(folder: Path) -> str:
    """What identifies the folder's weights: 16 hexadecimal digits.

    Files of up to 256 MB are read whole, of larger ones the size and 128 evenly spaced blocks of 1 MB.
    """
    hasher = hashlib.sha256()
    for file in weight_files(folder):
        size = file.stat().st_size
        with file.open("rb") as stream:
            if size <= _WHOLE_BYTES:
                while block := stream.read(_BLOCK_BYTES):
                    hasher.update(block)
                continue
            hasher.update(str(size).encode())
            for number in range(_BLOCKS):
                stream.seek(number * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
                hasher.update(stream.read(_BLOCK_BYTES))
    return hasher.hexdigest()[:16]


def tensor_reader(folder: Path) -> Callable[[str], "Tensor"]:
    """Gives a tensor of the folder's weights by its name, one at a time, as the file has it."""
    import torch
    from safetensors import safe_open

    files: dict[str, Path] = {}
    loaded: dict[Path, dict[str, Tensor]] = {}
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as stream:
                names = list(stream.keys())
        else:
            loaded[file] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            names = list(loaded[file])
        files |= dict.fromkeys(names, file)

    def read(name: str) -> "Tensor":
        if name not in files and name in _TIED:
            name = next(other for other in _TIED if other in files)
        file = files[name]
        if file in loaded:
            return loaded[file][name]
        with safe_open(file, framework="pt") as stream:
            tensor: Tensor = stream.get_tensor(name)
        return tensor

    return read
