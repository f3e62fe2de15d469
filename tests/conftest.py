"""What every test starts from: no hub, no display, one thread a process, an empty Hugging Face cache."""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Set here, before anything imports torch, transformers or matplotlib, which read them once. Processes that
# tests start inherit them.
os.environ |= {
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Help texts and tables are compared as plain text of one width.
    "COLUMNS": "120",
    "NO_COLOR": "1",
}
for forced in ("CLICOLOR_FORCE", "FORCE_COLOR", "PY_COLORS"):
    os.environ.pop(forced, None)

# The same examples every time, and no deadline: the cores may be shared.
settings.register_profile("tests", derandomize=True, deadline=None)
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """The fixtures of tiny.py and hub_tree.py, and one Hugging Face cache for the session, empty at its start;
    xdist's workers inherit it.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        cache = tempfile.mkdtemp(prefix="tfew-tests-")
        config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))
        for variable in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE"):
            os.environ.pop(variable, None)
        os.environ["HF_HOME"] = cache
    for name in ("tiny", "hub_tree"):
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config.pluginmanager.register(module, name)
