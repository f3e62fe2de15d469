import pytest

from experiments import devices
from experiments import placement as module
from experiments.devices import thread_environment, visible_gpus
from experiments.placement import placement


def machine(monkeypatch: pytest.MonkeyPatch, processors: int, gpus: list[str]) -> None:
    monkeypatch.setattr(module, "processors", lambda: processors)
    monkeypatch.setattr(module, "visible_gpus", lambda: gpus)


def test_a_worker_a_processor_of_one_thread_each_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 4, [])
    place = placement(None, None, runs=100)
    assert place.environments == (thread_environment(1),) * 4
    assert (place.threads, place.summary) == (1, "with 4 workers, 1 thread each")


def test_a_worker_a_gpu_with_its_share_of_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 8, ["0", "3"])
    place = placement(None, None, runs=100)
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in place.environments] == ["0", "3"]
    assert (place.threads, place.summary) == (4, "with 2 workers, 4 threads each, 2 GPUs")
    several = placement(3, 2, runs=100)
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in several.environments] == ["0", "3", "0"]
    assert several.environments[0]["OMP_NUM_THREADS"] == "2"


def test_no_more_workers_than_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 4, [])
    assert placement(8, None, runs=1).summary == "with 1 worker, 1 thread each"


@pytest.mark.parametrize(("value", "expected"), [("", []), ("-1", []), ("2", ["2"]), ("0, GPU-a", ["0", "GPU-a"])])
def test_visible_gpus_are_those_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: list[str]
) -> None:
    monkeypatch.setattr(devices, "_torch_version", lambda: "2.13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == expected


def test_a_gpu_that_pytorch_does_not_use_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the variable names: threads, and with them the last digits, would depend on it."""
    monkeypatch.setattr(devices, "_torch_version", lambda: "2.13.0+cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert visible_gpus() == []
