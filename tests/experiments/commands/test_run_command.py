import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments import job
from experiments.cli import main
from tfew_pl import resolve
from tfew_pl.errors import UserError
from tfew_pl.recipe import Recipe
from tfew_pl.record import RunRecord
from tfew_pl.spec import ZERO_SHOT, Evaluation, RunSpec
from tfew_pl.store import RunStore

ACCURACY = {"first": 0.5, "second": 0.75, "third": 0.8}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, record: Callable[..., RunRecord]) -> list[tuple[RunSpec, int, Any]]:
    """What the command ran: spec, threads, flags of the Trainer. Nothing is really run."""
    ran: list[tuple[RunSpec, int, Any]] = []

    class Fake:
        def __init__(self, store: Path, threads: int, trainer: Mapping[str, Any], **_: Any) -> None:
            self.store, self.threads, self.trainer = store, threads, trainer

        def __call__(self, specs: Sequence[RunSpec], progress: Callable[[str, float], None]) -> tuple[float, ...]:
            (spec,) = specs
            progress("training", 0.5)
            ran.append((spec, self.threads, self.trainer))
            RunStore(self.store).save(
                record(
                    spec,
                    ACCURACY,
                    parameters=1_600_000,
                    trained_parameters=2_800,
                    inference_flops=1.1e8,
                    measured_inference_flops=1.2e8,
                    training_flops=2.6e12,
                    stored_bytes=11_200,
                    measured_stored_bytes=13_000,
                    training_seconds=14.2,
                    evaluation_seconds=1.26,
                    peak_memory_bytes=5e8,
                )
            )
            return (0.75,)

    monkeypatch.setattr(job, "RunAndSave", Fake)
    monkeypatch.setattr(resolve, "resolve", lambda spec: spec)
    monkeypatch.setattr("experiments.devices.visible_gpus", list)
    return ran


Tfew = Callable[..., str]


@pytest.fixture
def tfew(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Tfew:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["run", *arguments, "--store", str(tmp_path)])
        captured = capsys.readouterr()
        assert (end.value.code, captured.err) == (0, "")
        return captured.out

    return run


def test_options_become_the_spec(done: Any, tfew: Tfew) -> None:
    tfew("--task", "rte")
    tfew(
        *"--task wic --method zero-shot --backbone pocket-lm --precision bf16 --data hub".split(),
        *"--examples 5 --templates 2".split(),
    )
    tfew(*"--task cb --seed 1 --shots 8 --recipe release --steps 7 --without warmup --without pretraining".split())
    tfew(
        *"--task cb --set recipe.learning_rate=1e-3 --set evaluation.examples=3 --set rank=4".split(),
        *"--set kind=big --set on=true".split(),
    )
    release = Recipe(
        steps=7,
        warmup_ratio=0.0,
        pretrained=False,
        unlikelihood_form="release",
        dropout="checkpoint",
        drop_last=True,
    )
    assert [spec for spec, _, _ in done] == [
        RunSpec("rte"),
        RunSpec(
            "wic",
            method=ZERO_SHOT,
            backbone="pocket-lm",
            precision="bf16",
            data="hub",
            evaluation=Evaluation(5, 2),
        ),
        RunSpec("cb", seed=1, shots=8, recipe=release),
        RunSpec(
            "cb",
            recipe=Recipe(learning_rate=1e-3),
            evaluation=Evaluation(examples=3),
            options={"rank": 4, "kind": "big", "on": True},
        ),
    ]


def test_accumulated_micro_batches_change_the_losses_and_are_part_of_the_run(done: Any, tfew: Tfew) -> None:
    tfew(*"--task rte --accumulate 4".split())
    ((spec, _, flags),) = done
    assert spec == RunSpec("rte", recipe=Recipe(accumulate=4))
    assert flags == {}


def test_flags_go_to_the_trainer_and_are_no_part_of_the_run(done: Any, tfew: Tfew) -> None:
    tfew(*"--task rte --accelerator cpu --devices 2 --strategy ddp --threads 3".split())
    tfew(*"--task cb".split())
    (spec, threads, flags), (_, one, none) = done
    assert spec == RunSpec("rte")
    assert threads == 3
    assert flags == {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}
    assert (one, none) == (1, {})


def test_a_store_that_cannot_be_written_is_refused_before_anything_runs(
    done: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as end:
        main(["run", "--task", "rte", "--store", str(tmp_path / "file")])
    captured = capsys.readouterr()
    assert (end.value.code, captured.out, done) == (2, "", [])
    assert captured.err.startswith(f"tfew: cannot write to the store {tmp_path / 'file'}: ")
    assert captured.err.count("\n") == 1


def test_loggers_each_once_and_compiling_go_to_the_job(
    done: Any, tfew: Tfew, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[tuple[tuple[str, ...], bool]] = []
    plain = job.RunAndSave

    def watched(*arguments: Any, loggers: tuple[str, ...], compiled: bool, **_: Any) -> Any:
        given.append((loggers, compiled))
        return plain(*arguments)

    monkeypatch.setattr(job, "RunAndSave", watched)
    tfew("--task", "rte")
    tfew("--task", "cb", *["--logger", "tensorboard"] * 2, "--compile")
    assert given == [((), False), (("tensorboard",), True)]
    with pytest.raises(SystemExit) as end:
        main(["run", "--task", "wic", "--logger", "tensorbord"])
    assert (end.value.code, len(given)) == (2, 2)
    assert capsys.readouterr().err == "tfew: unknown logger 'tensorbord': did you mean tensorboard?\n"


def test_a_record_is_shown_with_its_median_losses_and_costs(done: Any, tfew: Tfew, tmp_path: Path) -> None:
    out = tfew("--task", "rte")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert rows[0] == "ia3 on rte, seed 42 (pocket-t0)"
    assert "second 75.0" in rows
    assert "median (interquartile range 15.0) 75.0" in rows
    assert "1 0.0000 0.0000 0.0000" in rows
    assert "FLOPs of a prediction 1.1e8 1.2e8" in rows
    assert "stored beside the backbone 11 kB 13 kB" in rows
    assert "training time - 14 s" in rows
    assert rows[-1] == f"record {tmp_path / RunSpec('rte').digest}"


def test_a_finished_run_is_shown_and_not_run_again(done: Any, tfew: Tfew) -> None:
    first = tfew("--task", "rte").splitlines()
    second = tfew("--task", "rte").splitlines()
    assert len(done) == 1
    assert second[:-1] == first[:-1]
    assert second[-1] == first[-1] + " (it was there already: nothing was run)"


def test_json_says_the_same_in_percent(done: Any, tfew: Tfew, tmp_path: Path) -> None:
    found = json.loads(tfew("--task", "rte", "--json"))
    assert found["accuracy"] == pytest.approx(75)
    assert found["accuracy_iqr"] == pytest.approx((75 + 80) / 2 - (50 + 75) / 2)
    assert found["templates"] == pytest.approx({name: 100 * share for name, share in ACCURACY.items()})
    assert found["record"] == str(tmp_path / found["digest"])
    assert found["known_before"] is False
    assert found["costs"]["trained_parameters"] == 2800
    assert found["losses"] == [{"step": 1, "lm": 0.0, "unlikelihood": 0.0, "length_norm": 0.0}]
    assert found["spec"]["task"] == "rte"
    assert json.loads(tfew("--task", "rte", "--json"))["known_before"] is True


def test_json_has_no_losses_of_a_run_that_does_not_train(
    capsys: pytest.CaptureFixture[str], record: Callable[..., RunRecord]
) -> None:
    from dataclasses import replace

    from experiments.run_report import show_record

    columns = ["step", "lm", "unlikelihood", "length_norm"]
    empty = replace(record(RunSpec("rte", method=ZERO_SHOT), ACCURACY), losses=pd.DataFrame(columns=columns))
    show_record(empty, Path("here"), known=False, json=True)
    assert json.loads(capsys.readouterr().out)["losses"] == []
    show_record(empty, Path("here"), known=False, json=False)
    out = capsys.readouterr().out
    assert "losses" not in out
    assert "training" not in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--task rtee", "task: unknown task 'rtee': did you mean rte?"),
        ("--task rte --set steps", "--set steps: expected KEY=VALUE"),
        ("--task rte --set recipe.stepz=3", "recipe.stepz: unknown; did you mean steps?"),
        ("--task rte --precision fp16", "T5's activations overflow it"),
        ("--task rte --without warmups", "--without warmups: unknown ingredient"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    done: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, expected: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["run", *arguments.split(), "--store", str(tmp_path)])
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert expected in error
    assert error.count("\n") == 1
    assert done == []


def test_what_a_run_refuses_is_one_line(
    done: Any, tfew: Tfew, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(spec: RunSpec) -> RunSpec:
        raise UserError("no such weights")

    monkeypatch.setattr(resolve, "resolve", refuse)
    with pytest.raises(SystemExit) as end:
        main(["run", "--task", "rte"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "tfew: no such weights\n"


@pytest.mark.parametrize("how", [KeyboardInterrupt, SystemExit, signal.SIGTERM])
def test_an_interruption_is_told(
    monkeypatch: pytest.MonkeyPatch,
    done: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    how: type[BaseException] | signal.Signals,
) -> None:
    class Interrupted:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __call__(self, *_: Any) -> None:
            if isinstance(how, signal.Signals):
                os.kill(os.getpid(), how)
                time.sleep(10)
            else:
                raise how

    monkeypatch.setattr(job, "RunAndSave", Interrupted)
    with pytest.raises(SystemExit) as end:
        main(["run", "--task", "rte", "--store", str(tmp_path)])
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted: there is no record yet; the same command goes on\n"
    assert done == []
