import dataclasses
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

import experiments
from experiments.grid import Grid, find_grid, load_grid
from experiments.replacements import Replaced
from tfew_pl.errors import UserError
from tfew_pl.recipe import Recipe
from tfew_pl.registry import method_class, registered_methods
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Evaluation, InContext, Revisions, RunSpec
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

GRIDS = Path(experiments.__file__).parent / "grids"
Loader = Callable[..., Grid]


def as_it_is(spec: RunSpec) -> RunSpec:
    return spec


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    def write_and_load(text: str, **options: str) -> Grid:
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        return load_grid(path, resolved=as_it_is, **options)

    return write_and_load


HEAD = "name: test\ndescription: A test.\n"


def test_variants_change_the_defaults_and_sweeps_run_in_order(load: Loader) -> None:
    grid = load(
        HEAD
        + """
store: results/test
defaults: {recipe: {steps: 5, batch_size: 2}, precision: bf16}
variants:
  - name: A
    sweep: {task: [wic, rte], seed: [0, 1]}
  - {name: B, task: cb, recipe: {steps: 7}, without: warmup}
"""
    )
    common = {"precision": "bf16", "recipe": Recipe(steps=5, batch_size=2)}
    assert grid.runs == (
        ("A", RunSpec("wic", seed=0, **common)),  # type: ignore[arg-type]
        ("A", RunSpec("wic", seed=1, **common)),  # type: ignore[arg-type]
        ("A", RunSpec("rte", seed=0, **common)),  # type: ignore[arg-type]
        ("A", RunSpec("rte", seed=1, **common)),  # type: ignore[arg-type]
        ("B", RunSpec("cb", precision="bf16", recipe=Recipe(steps=7, batch_size=2, warmup_ratio=0.0))),
    )
    assert (grid.name, grid.description, grid.store) == ("test", "A test.", Path("results/test"))
    assert {name: len(specs) for name, specs in grid.variants().items()} == {"A": 4, "B": 1}


def test_words_stand_for_all_tasks_and_the_official_seeds(load: Loader) -> None:
    grid = load(HEAD + "variants: [{name: A, sweep: {task: all, seed: official}}]")
    assert [run.spec.task for run in grid.runs[:: len(OFFICIAL_SEEDS)]] == list(TASKS)
    assert [run.spec.seed for run in grid.runs[: len(OFFICIAL_SEEDS)]] == [42, 1024, 0, 1, 32]
    assert len(grid.runs) == 55


def test_any_field_can_be_swept_by_its_path(load: Loader) -> None:
    grid = load(
        HEAD
        + """
variants:
  - name: A
    task: rte
    recipe: release
    sweep: {recipe.learning_rate: [3e-3, 1e-3], evaluation.examples: [1, 2]}
"""
    )
    found = [(run.spec.recipe.learning_rate, run.spec.evaluation.examples) for run in grid.runs]
    assert found == [(3e-3, 1), (3e-3, 2), (1e-3, 1), (1e-3, 2)]
    assert {run.spec.recipe.dropout for run in grid.runs} == {"checkpoint"}


def test_partners_are_names(load: Loader) -> None:
    with pytest.raises(UserError) as caught:
        load(
            HEAD + "partners: {t0-3b: [x], t0: {a: 1}, mine: {a: b}}\nvariants: [{name: A, task: rte}]",
            replaced=Replaced("t0"),
        )
    assert str(caught.value).splitlines()[1:] == [
        "  partners: t0-3b: expected backbones and what replaces each, not ['x']",
        "  partners: t0: expected backbones and what replaces each, not {'a': 1}",
    ]


def test_a_default_that_is_no_name_is_a_problem_like_others(load: Loader) -> None:
    with pytest.raises(UserError, match="backbone"):
        load(HEAD + "defaults: {backbone: [a]}\nvariants: [{name: A, task: rte}]", replaced=Replaced("t0-3b", "hub"))


@pytest.mark.parametrize("name", ["../x", ".x", "a/b", "a b"])
def test_a_grid_is_named_like_a_file(load: Loader, name: str) -> None:
    with pytest.raises(UserError, match="names files too"):
        load(f"name: {name}\ndescription: d\nvariants: [{{name: A, task: rte}}]")


def test_specs_are_resolved(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(HEAD + "variants: [{name: A, task: rte}]")
    revisions = Revisions(backbone="b")
    grid = load_grid(path, resolved=lambda spec: dataclasses.replace(spec, revisions=revisions))
    assert grid.runs[0].spec.revisions == revisions


def test_all_problems_are_reported_at_once_with_file_variant_and_key(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        """
name: x
descripton: y
defaults: {recip: 3}
variants:
  - {name: A, metod: ia3, sweep: {task: [rte, copaa], seed: offical}}
  - {name: B, task: rte, recipe: {batch_size: 0}}
  - {name: B, task: wic, backbone: t0-3b}
  - {task: cb}
"""
    )

    def resolved(spec: RunSpec) -> RunSpec:
        if spec.backbone == "t0-3b":
            raise UserError("first reason; second reason")
        return spec

    with pytest.raises(UserError) as error:
        load_grid(path, resolved=resolved)
    assert str(error.value).splitlines() == [
        f"{path}: 11 problems",
        "  description: missing",
        "  descripton: unknown; did you mean description?",
        "  defaults: recip: unknown; did you mean recipe or precision?",
        "  variant 'A': sweep: seed: expected `official` or a list, not 'offical'",
        "  variant 'A': metod: unknown; did you mean method?",
        "  variant 'A': task: unknown task 'copaa': did you mean copa?",
        "  variant 'B': recipe: batch_size must be at least 1, not 0",
        "  variant 'B': the name is given twice",
        "  variant 'B': first reason",
        "  variant 'B': second reason",
        "  variant number 4: expected keys with values, a `name` among them",
    ]


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        ("[{name: A, task: rte}, {name: B, task: rte}]", "'B': the run ia3 on rte, seed 42 (pocket-t0) is"),
        ("[{name: A, task: rte}, {name: B, task: rte}]", "already in variant 'A'"),
        ("[{name: A, task: rte, sweep: {seed: [1, 1]}}]", "is there twice"),
        # A seed has no influence on zero-shot: these are one run.
        ("[{name: A, task: rte, method: zero-shot, sweep: {seed: [1, 2]}}]", "is there twice"),
    ],
)
def test_a_run_that_is_there_twice_is_an_error(load: Loader, variants: str, expected: str) -> None:
    with pytest.raises(UserError, match="1 problem") as error:
        load(HEAD + f"variants: {variants}")
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", "a grid has the keys name, description"),
        ("name: [", "not valid YAML"),
        (HEAD + "name: again\nvariants: []", "the key 'name' is given twice"),
        (HEAD, "variants: expected a list"),
        (HEAD + "defaults: 3\nvariants: [{name: A, task: rte}]", "defaults: expected keys with values"),
        (HEAD + "variants: [{name: A, task: rte, sweep: all}]", "sweep: expected keys with lists"),
        (HEAD + "variants: [{name: A, task: rte, sweep: {seed: []}}]", "expected `official` or a list"),
        (HEAD + "variants: [{name: A, task: rte, sweep: {sed: [1]}}]", "sed: unknown; did you mean seed?"),
    ],
)
def test_a_file_that_is_no_grid_says_what_is_missing(load: Loader, text: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        load(text)
    assert expected in str(error.value)
    assert "grid.yaml" in str(error.value)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^cannot read the grid .*missing\.yaml: No such file"):
        load_grid(tmp_path / "missing.yaml", resolved=as_it_is)


def test_a_shipped_grid_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_grid("table1") == GRIDS / "table1.yaml"
    assert find_grid("own/grid.yaml") == Path("own/grid.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table1").mkdir()  # as somebody may call what a table was written to
    assert find_grid("table1") == GRIDS / "table1.yaml"
    with pytest.raises(UserError, match="did you mean table1"):
        find_grid("tabel1")


@pytest.mark.parametrize("path", sorted(GRIDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_grid_opens_with_its_command_and_expands(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith(f"# tfew grid experiments/grids/{path.name}")
    assert lines[2].startswith("# ")
    grid = load_grid(path, resolved=as_it_is)
    assert grid.name == path.stem
    assert len({run.spec.digest for run in grid.runs}) == len(grid.runs)


def test_table1_is_what_the_paper_compares() -> None:
    variants = load_grid(GRIDS / "table1.yaml", resolved=as_it_is).variants()
    runs = {(task, seed) for task in TASKS for seed in OFFICIAL_SEEDS}
    assert list(variants) == ["T-Few", "Zero-shot", "In-context learning"]
    assert {(spec.task, spec.seed) for spec in variants["T-Few"]} == runs
    assert {(spec.method, spec.backbone, spec.recipe, spec.evaluation) for spec in variants["T-Few"]} == {
        ("ia3", "pocket-t0", Recipe(), Evaluation())
    }
    zero_shot = variants["Zero-shot"]
    assert [spec.task for spec in zero_shot] == list(TASKS)
    assert {(spec.method, spec.backbone, spec.evaluation) for spec in zero_shot} == {
        (ZERO_SHOT, "pocket-t0", Evaluation())
    }
    in_context = variants["In-context learning"]
    assert {(spec.task, spec.seed) for spec in in_context} == runs
    assert {(spec.method, spec.backbone) for spec in in_context} == {(IN_CONTEXT, "pocket-lm")}


@pytest.mark.parametrize(("backbone", "partner"), [("t0-3b", "t5-lm-xl"), ("t0", "t5-lm-xxl")])
def test_table1_takes_the_language_model_of_a_real_backbone(backbone: str, partner: str) -> None:
    variants = load_grid(GRIDS / "table1.yaml", replaced=Replaced(backbone, "hub"), resolved=as_it_is).variants()
    assert {spec.backbone for spec in variants["T-Few"] + variants["Zero-shot"]} == {backbone}
    assert {spec.backbone for spec in variants["In-context learning"]} == {partner}
    assert {spec.data for specs in variants.values() for spec in specs} == {"hub"}


EVERYWHERE = {(task, seed) for task in TASKS for seed in OFFICIAL_SEEDS}
LOSSES = {4: (1.0, 1.0), 5: (0.0, 1.0), 6: (1.0, 0.0), 7: (0.0, 0.0)}
"""Weights of L_UL and L_LN by table."""


@pytest.mark.parametrize("number", LOSSES)
def test_tables_4_to_7_are_every_method_with_its_own_recipe(number: int) -> None:
    grid = load_grid(GRIDS / f"table{number}.yaml", resolved=as_it_is)
    methods = {}
    for specs in grid.variants().values():
        assert {(spec.task, spec.seed) for spec in specs} == EVERYWHERE
        (kind,) = {(spec.method, spec.backbone, spec.recipe, spec.evaluation) for spec in specs}
        methods[kind[0]] = kind[2]
        assert kind[1:] == ("pocket-t0", kind[2], Evaluation())
    left_out = set() if number == 4 else {"intrinsic-said-20k", "intrinsic-said-500k"}
    assert set(methods) == set(registered_methods()) - left_out
    for name, recipe in methods.items():
        own = dataclasses.replace(Recipe(), **(method_class(name).recipe if name != "ia3" else {"pretrained": False}))
        unlikelihood, length_norm = LOSSES[number]
        assert recipe == dataclasses.replace(own, unlikelihood_weight=unlikelihood, length_norm_weight=length_norm)
    assert not grid.keep_adaptations


def losses(spec: RunSpec) -> tuple[float, float, float]:
    return spec.recipe.lm_weight, spec.recipe.unlikelihood_weight, spec.recipe.length_norm_weight


def test_tables_3_8_and_10_are_ablations() -> None:
    variants = {n: load_grid(GRIDS / f"table{n}.yaml", resolved=as_it_is).variants() for n in (3, 8, 10)}
    kinds = {}
    for number, rows in variants.items():
        for name, specs in rows.items():
            assert {(spec.task, spec.seed) for spec in specs} == EVERYWHERE
            ((method, pretrained, weights),) = {(spec.method, spec.recipe.pretrained, losses(spec)) for spec in specs}
            assert method == ("full" if number == 3 else "ia3")
            kinds[number, name] = weights if number == 3 else (pretrained, weights)
    assert kinds == {
        (3, "FT"): (1, 0, 0),
        (3, "+ UL"): (1, 1, 0),
        (3, "+ LN"): (1, 0, 1),
        (3, "+ UL + LN"): (1, 1, 1),
        (8, "(IA)3"): (False, (1, 1, 1)),
        (8, "(IA)3 + PT"): (True, (1, 1, 1)),
        (10, "T-Few"): (True, (1, 1, 1)),
        (10, "- PT"): (False, (1, 1, 1)),
        (10, "- L_UL - L_LN"): (True, (1, 0, 0)),
        (10, "- PT - L_UL - L_LN"): (False, (1, 0, 0)),
    }


def test_grids_share_the_runs_that_their_comments_say() -> None:
    runs = {
        (number, name): {spec.digest for spec in specs}
        for number in (1, 3, 4, 7, 8, 9, 10)
        for name, specs in load_grid(GRIDS / f"table{number}.yaml", resolved=as_it_is).variants().items()
    }
    assert runs[3, "+ UL + LN"] == runs[4, "Full fine-tuning"]
    assert runs[3, "FT"] == runs[7, "Full fine-tuning"]
    assert runs[8, "(IA)3"] == runs[4, "(IA)3"] == runs[10, "- PT"]
    assert runs[8, "(IA)3 + PT"] == runs[1, "T-Few"] == runs[9, "T-Few"] == runs[10, "T-Few"]
    assert runs[9, "In-context learning"] == runs[1, "In-context learning"]
    assert runs[9, "Zero-shot"] == runs[1, "Zero-shot"]


def test_table9_has_every_way_to_learn_in_context() -> None:
    variants = load_grid(GRIDS / "table9.yaml", resolved=as_it_is).variants()
    (first, *_), *_ = specs = list(variants.values())
    assert (first.method, [spec[0].method for spec in specs[1:]]) == ("ia3", [ZERO_SHOT, *[IN_CONTEXT] * 7])
    ways = {name: found for name, found in variants.items() if found[0].method == IN_CONTEXT}
    for found in ways.values():
        assert {(spec.task, spec.seed) for spec in found} == EVERYWHERE
        assert {(spec.backbone, spec.evaluation) for spec in found} == {("pocket-lm", Evaluation(32, 3))}
    assert {name: found[0].in_context for name, found in ways.items()} == {
        "In-context learning": InContext(combine="mean"),
        "ICL (multiplied)": InContext(),
        "ICL (multiplied, calibrated)": InContext(calibrated=True),
        "ICL (concatenated)": InContext("concatenated"),
        "ICL (concatenated, reordered)": InContext("concatenated", order=0),
        "ICL (concatenated, calibrated)": InContext("concatenated", calibrated=True),
        "ICL (concatenated, query in the decoder)": InContext("concatenated", query="decoder"),
    }
    real = load_grid(GRIDS / "table9.yaml", replaced=Replaced("t0", "hub"), resolved=as_it_is).variants()
    assert {spec.backbone for name in ways for spec in real[name]} == {"t5-lm-xxl"}


def test_keep_adaptations(load: Loader) -> None:
    rest = "variants:\n  - {name: A, task: rte}\n"
    assert load(HEAD + rest).keep_adaptations
    assert not load(HEAD + "keep_adaptations: false\n" + rest).keep_adaptations
    with pytest.raises(UserError, match="keep_adaptations: expected true or false, not 'no, thanks'"):
        load(HEAD + "keep_adaptations: no, thanks\n" + rest)


def test_the_control_trains_as_table1_does_save_for_the_backbone() -> None:
    control = load_grid(GRIDS / "control.yaml", resolved=as_it_is).runs
    tfew = load_grid(GRIDS / "table1.yaml", resolved=as_it_is).variants()["T-Few"]
    random_start = Recipe(pretrained=False)
    assert [run.spec for run in control] == [
        dataclasses.replace(spec, backbone="pocket-random", recipe=random_start) for spec in tfew
    ]


def test_the_order_of_a_sweep_is_that_of_its_keys(load: Loader) -> None:
    grid = load(HEAD + "variants: [{name: A, sweep: {seed: [1, 2], task: [rte, cb]}}]")
    assert [(run.spec.seed, run.spec.task) for run in grid.runs] == [(1, "rte"), (1, "cb"), (2, "rte"), (2, "cb")]
    assert all(first != second for first, second in pairwise(grid.runs))


def test_excluded_combinations_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        "name: n\ndescription: d\nvariants:\n"
        "  - name: A\n    sweep: {task: [rte, cb], seed: [0, 1, 2]}\n"
        "    exclude: [{task: cb, seed: [0, 2]}, {task: rte, seed: 1}]\n"
    )
    runs = load_grid(path, resolved=lambda spec: spec).runs
    assert [(run.spec.task, run.spec.seed) for run in runs] == [("rte", 0), ("rte", 2), ("cb", 1)]


def test_what_excludes_nothing_or_everything_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        "name: n\ndescription: d\nvariants:\n"
        "  - {name: A, sweep: {task: [rte], seed: [0]}, exclude: [{seeds: 0}, {seed: 3}]}\n"
        "  - {name: B, task: cb, exclude: {seed: 0}}\n"
        "  - {name: C, sweep: {task: [rte, cb]}, exclude: [{task: [cb, rte]}]}\n"
    )
    with pytest.raises(UserError) as caught:
        load_grid(path, resolved=lambda spec: spec)
    assert str(caught.value).splitlines()[1:] == [
        "  variant 'A': exclude: seeds: unknown; did you mean seed?",
        "  variant 'A': exclude: seed: 3 is not swept",
        "  variant 'B': exclude: expected a list of keys with values, not {'seed': 0}",
        "  variant 'C': exclude: no run is left",
    ]
