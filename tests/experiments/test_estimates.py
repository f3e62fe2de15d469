from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from experiments.estimates import backbone_parameters, estimate, measured_lengths, parameters_of
from experiments.gpus import GPUS, choose_gpu
from experiments.published import EXAMPLE_TOKENS, SHOT_TOKENS
from tfew_pl.accounting import run_costs
from tfew_pl.backbones import load_backbone
from tfew_pl.costs import Price
from tfew_pl.errors import UserError
from tfew_pl.preparation import prepare
from tfew_pl.recipe import Recipe
from tfew_pl.resolve import resolve
from tfew_pl.shapes import SHAPES, empty_backbone
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Evaluation, InContext, RunSpec
from tfew_pl.tasks import get_task

PLAIN = Price("plain", dollars_per_hour=3.6, flops_per_second=1e12)
LIMITED = Evaluation(examples=10, templates=2)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_parameters_of_a_shape_are_those_of_the_model(name: str) -> None:
    assert parameters_of(SHAPES[name]) == sum(p.numel() for p in empty_backbone(name).parameters())


def test_parameters_of_a_folder_are_those_of_its_files() -> None:
    assert backbone_parameters("pocket-t0") == sum(p.numel() for p in empty_backbone("pocket-t0").parameters())
    assert backbone_parameters("somebody/a-model") is None


def test_training_the_paper_s_way_costs_what_the_paper_says() -> None:
    """Section 4.2: 2.7e16 FLOPs for 1,000 steps of 8 on T0 with 11 billion parameters, half an hour on an A100."""
    spec = RunSpec("copa", backbone="t0")
    only_evaluated = RunSpec("copa", backbone="t0", method=ZERO_SHOT)
    whole = estimate(spec, GPUS["a100"].price(), {})
    evaluation = estimate(only_evaluated, GPUS["a100"].price(), {})
    assert whole is not None
    assert evaluation is not None
    assert whole.flops - evaluation.flops == pytest.approx(2.7e16, rel=0.02)
    assert whole.seconds - evaluation.seconds == pytest.approx(1800, rel=0.02)


def test_an_estimate_is_the_formulas() -> None:
    parameters = backbone_parameters("pocket-t0")
    assert parameters is not None
    recipe = Recipe(steps=7, batch_size=3)
    found = estimate(RunSpec("rte", recipe=recipe, evaluation=LIMITED), PLAIN, {("rte", "pocket-t0"): 60})
    assert found is not None
    assert found.flops == pytest.approx(parameters * 60 * (3 * 7 * 3 + 10 * 2))
    assert found.seconds == pytest.approx(found.flops / 1e12)
    assert found.dollars == pytest.approx(found.seconds * 0.001)


def test_a_context_costs_its_tokens_for_every_prediction() -> None:
    parameters = backbone_parameters("pocket-lm")
    assert parameters is not None
    found = estimate(RunSpec("rte", backbone="pocket-lm", method=IN_CONTEXT, evaluation=LIMITED), PLAIN, {})
    assert found is not None
    assert found.flops == pytest.approx(parameters * 20 * (EXAMPLE_TOKENS + get_task("rte").shots * SHOT_TOKENS))


def test_a_causal_model_costs_twice_as_much_a_token(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=50, n_positions=300, n_embd=24, n_layer=1, n_head=3)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    name = str(tmp_path)
    parameters = backbone_parameters(name)
    assert parameters is not None
    zero_shot = estimate(RunSpec("rte", name, method=ZERO_SHOT, evaluation=LIMITED), PLAIN, {})
    assert zero_shot is not None
    assert zero_shot.flops == 2 * parameters * 20 * EXAMPLE_TOKENS
    one_context = InContext("concatenated")
    learned = estimate(RunSpec("rte", name, method=IN_CONTEXT, evaluation=LIMITED, in_context=one_context), PLAIN, {})
    assert learned is not None
    assert learned.flops == 2 * parameters * 20 * (EXAMPLE_TOKENS + 2 * SHOT_TOKENS)  # of 300 positions


def test_a_part_that_is_left_out() -> None:
    """A fifth of 32 few-shot examples is evaluated, and the rest is trained on."""
    for fold, examples in ((0, 6), (4, 7)):
        spec = RunSpec("rte", method=ZERO_SHOT, evaluation=Evaluation(fold=fold, templates=2))
        found = estimate(spec, PLAIN, {})
        parameters = backbone_parameters(spec.backbone)
        assert found is not None
        assert parameters is not None
        assert found.flops == parameters * EXAMPLE_TOKENS * 2 * examples


def test_in_context_learning_costs_about_what_its_record_says() -> None:
    """By the same formula, from the median length of an example alone."""
    for contexts in ("ensemble", "concatenated"):
        settings = InContext(contexts)  # type: ignore[arg-type]
        spec = resolve(
            RunSpec("rte", "pocket-lm", method=IN_CONTEXT, evaluation=Evaluation(2, 1), in_context=settings, shots=30)
        )
        backbone = load_backbone(spec.backbone)
        (run,) = prepare([spec], backbone)
        costs = run_costs(run, backbone, counts=None, stored=0, flops=(0.0, 0.0), seconds=(0.0, 0.0), peak_memory=0)
        found = estimate(spec, PLAIN, {("rte", "pocket-lm"): costs.input_tokens})
        assert found is not None
        assert found.flops == pytest.approx(2 * costs.inference_flops, rel=0.2)


def test_limits_beyond_what_there_is_change_nothing() -> None:
    plain = estimate(RunSpec("cb"), PLAIN, {})
    assert estimate(RunSpec("cb", evaluation=Evaluation(10**6, 10**3)), PLAIN, {}) == plain


def test_lengths_are_those_of_finished_runs() -> None:
    records = [{"spec": {"task": "rte", "backbone": "b"}, "costs": {"input_tokens": tokens}} for tokens in (50, 70, 80)]
    assert measured_lengths(records) == {("rte", "b"): 70}


def test_gpus_are_sourced_and_prices_replaced() -> None:
    for gpu in GPUS.values():
        assert any(str(year) in gpu.price_source for year in range(2022, 2027))
        assert gpu.peak_source.startswith("https://www.nvidia.com/")
    own = choose_gpu("h100", 2.0)
    assert (own.dollars_per_hour, own.price_source) == (2.0, "as given")
    with pytest.raises(UserError, match="did you mean h100"):
        choose_gpu("h10", None)
    with pytest.raises(UserError, match="positive"):
        choose_gpu("h100", -1.0)
