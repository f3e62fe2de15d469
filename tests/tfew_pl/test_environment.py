import json
import platform
from importlib.metadata import version

import torch

from tfew_pl import environment


def test_versions_of_what_numbers_depend_on() -> None:
    versions = environment.package_versions()
    for package in ("torch", "transformers", "numpy"):
        assert versions[package] == version(package)


def test_description_is_json() -> None:
    found = environment.describe(torch.device("cpu"))
    assert json.loads(json.dumps(found)) == found
    assert found["device"].startswith("cpu")
    assert found["python"] == platform.python_version()
    assert found["threads"] == torch.get_num_threads()
    assert found["float32_matmul_precision"] == torch.get_float32_matmul_precision()
