import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import resource, sys
import torch
from tfew_pl.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for megabytes in range(1, 30):
    torch.ones(megabytes << 18)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this to set")
def test_freed_memory_is_not_asked_for_again() -> None:
    """Without it, each of these, larger than all before, is cleared page by page: together, a hundred thousand."""
    faults = {}
    for how in ("kept", "left"):
        run = subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, check=True)
        faults[how] = int(run.stdout)
    assert faults["left"] > faults["kept"] + 50_000
