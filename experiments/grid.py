"""Grid files: YAML that expands to an ordered list of runs.

Every key that there is:

    name: example
    description: What it is for.
    store: results/example        # where its records go; results/runs if left out
    keep_adaptations: false       # leave what was trained out of the records; true if left out
    defaults:                     # fields of a RunSpec
      backbone: pocket-t0
      recipe: {steps: 100}        # or the name of a recipe, or both: {name: release, steps: 100}
    variants:                     # rows of a table
      - name: (IA)3
        method: ia3               # fields that differ from the defaults
        without: [unlikelihood]   # ingredients taken out of the recipe
        sweep:                    # every combination is a run; the last key varies fastest
          task: all               # the held-out tasks; or raft, or a list of names
          seed: official          # or a list of seeds
          recipe.learning_rate: [3e-3, 1e-3]
        exclude:                  # combinations that are left out; every key has to match, a list matches any of it
          - {task: rte, recipe.learning_rate: [1e-3]}
    partners:                     # with `--backbone t0-3b`, pocket-lm becomes t5-lm-xl
      t0-3b: {pocket-lm: t5-lm-xl}
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from experiments.replacements import NOTHING, Replaced, Replacements
from experiments.specs import build_spec, merged, set_value, spec_keys, unknown_key
from tfew_pl.errors import UserError
from tfew_pl.hub import HubUnreachableError
from tfew_pl.naming import look_up
from tfew_pl.resolve import resolve
from tfew_pl.spec import RunSpec
from tfew_pl.tasks import RAFT_TASKS, TASKS
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

DEFAULT_STORE = Path("results/runs")
"""Where records go when nobody says otherwise."""
_SHIPPED = Path(__file__).parent / "grids"
_NAME = re.compile(r"\w[\w.-]*")
_KEYS = ("name", "description", "store", "keep_adaptations", "defaults", "variants", "partners")
_WORDS: dict[str, dict[str, list[Any]]] = {
    "task": {"all": list(TASKS), "raft": list(RAFT_TASKS)},
    "seed": {"official": list(OFFICIAL_SEEDS)},
}


class GridRun(NamedTuple):
    """A run and the variant that it belongs to."""

    variant: str
    spec: RunSpec


@dataclass(frozen=True)
class Grid:
    """What a grid file asks for."""

    name: str
    description: str
    store: Path
    """Folder of the records, relative to the working directory."""
    runs: tuple[GridRun, ...]
    """Every run once, in the file's order; their specs are resolved, so that their digests are final."""
    keep_adaptations: bool = True
    """Whether the records keep what was trained; no number depends on it."""
    remarks: tuple[str, ...] = ()
    """What its user may not expect."""

    def variants(self) -> dict[str, list[RunSpec]]:
        """The specs of every variant, in order."""
        specs: dict[str, list[RunSpec]] = {}
        for run in self.runs:
            specs.setdefault(run.variant, []).append(run.spec)
        return specs


def find_grid(name: str) -> Path:
    """The grid file of that path, or the shipped one of that name.

    Raises:
        UserError: there is neither; the message names the nearest.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    return look_up("grid", name, {file.stem: file for file in sorted(_SHIPPED.glob("*.yaml"))})


def load_grid(
    path: Path,
    *,
    replaced: Replaced = NOTHING,
    resolved: Callable[[RunSpec], RunSpec] = resolve,
) -> Grid:
    """Reads, checks and expands a grid file.

    Args:
        path: of the YAML file.
        replaced: what takes the place of the defaults.
        resolved: checks a spec against what is installed, and pins its inputs.

    Raises:
        UserError: the file cannot be read, or anything in it is wrong; the message lists every problem.
    """
    content = _read(path)
    problems: list[str] = []
    name, description = (_text(content, key, problems) for key in ("name", "description"))
    if name and not _NAME.fullmatch(name):
        problems.append(f"name: {name!r} names files too: letters, digits, '_', '-' and '.', the first no '.'")
    store = _text(content, "store", problems) if "store" in content else str(DEFAULT_STORE)
    keep_adaptations = content.get("keep_adaptations", True)
    if not isinstance(keep_adaptations, bool):
        problems.append(f"keep_adaptations: expected true or false, not {keep_adaptations!r}")
    for key in content.keys() - set(_KEYS):
        problems.append(f"{key}: {unknown_key(str(key), _KEYS)}")
    defaults = _mapping(content, "defaults", problems)
    for key in defaults.keys() - set(spec_keys()):
        problems.append(f"defaults: {key}: {unknown_key(str(key), spec_keys())}")
    defaults = {key: value for key, value in defaults.items() if key in spec_keys()}
    replacements = Replacements(defaults, _partners(content, problems), replaced)
    runs: list[GridRun] = []
    for label, values in _variants(content, problems):
        runs += _expand(label, merged(defaults, values), replacements, resolved, problems)
    _find_duplicates(runs, problems)
    if problems:
        unique = list(dict.fromkeys(problems))
        count = "1 problem" if len(unique) == 1 else f"{len(unique)} problems"
        raise UserError(f"{path}: {count}" + "".join(f"\n  {problem}" for problem in unique))
    return Grid(name, description, Path(store), tuple(runs), keep_adaptations, tuple(replacements.without_effect()))


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key!r} is given twice in the block at line {line}")
        return super().construct_mapping(node, deep)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a safe loader
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the grid {path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: a grid has the keys {', '.join(_KEYS)}")
    return content


def _text(content: Mapping[str, Any], key: str, problems: list[str]) -> str:
    value = content.get(key)
    if isinstance(value, str) and value.strip():
        return value.strip()
    problems.append(f"{key}: missing" if value is None else f"{key}: expected a text, not {value!r}")
    return ""


def _mapping(content: Mapping[str, Any], key: str, problems: list[str]) -> Mapping[str, Any]:
    value = content.get(key)
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    problems.append(f"{key}: expected keys with values, not {value!r}")
    return {}


def _partners(content: Mapping[str, Any], problems: list[str]) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for backbone, others in _mapping(content, "partners", problems).items():
        pairs = others.items() if isinstance(others, Mapping) else ((None, None),)
        if all(isinstance(name, str) and isinstance(partner, str) for name, partner in pairs):
            found[str(backbone)] = others
        else:
            problems.append(f"partners: {backbone}: expected backbones and what replaces each, not {others!r}")
    return found


def _variants(content: Mapping[str, Any], problems: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    variants = content.get("variants")
    if not isinstance(variants, list) or not variants:
        problems.append("variants: expected a list of at least one variant")
        return
    seen: set[str] = set()
    for number, variant in enumerate(variants, 1):
        if not isinstance(variant, Mapping) or not isinstance(variant.get("name"), str):
            problems.append(f"variant number {number}: expected keys with values, a `name` among them")
            continue
        name = variant["name"]
        if name in seen:
            problems.append(f"variant {name!r}: the name is given twice")
        seen.add(name)
        yield name, {key: value for key, value in variant.items() if key != "name"}


def _expand(
    name: str,
    values: dict[str, Any],
    replacements: Replacements,
    resolved: Callable[[RunSpec], RunSpec],
    problems: list[str],
) -> list[GridRun]:
    before = len(problems)
    sweep = _sweep(name, values.pop("sweep", {}), problems)
    runs = []
    excluded = _excluded(name, values.pop("exclude", []), sweep, problems)
    every = itertools.product(*sweep.values())
    combinations = [
        one for one in every if not any(_matches(rule, dict(zip(sweep, one, strict=True))) for rule in excluded)
    ]
    if not combinations:
        problems.append(f"variant {name!r}: exclude: no run is left")
    for combination in combinations:
        chosen = dict(values)
        for key, value in zip(sweep, combination, strict=True):
            set_value(chosen, key, value)
        replacements.apply(chosen)
        spec, found = build_spec(chosen)
        if spec is not None:
            try:
                spec = resolved(replacements.start(spec))
            except HubUnreachableError:
                raise
            except UserError as error:
                found = str(error).split("; ")
        if spec is not None:
            runs.append(GridRun(name, spec))
        problems += [f"variant {name!r}: {problem}" for problem in found]
    return runs if len(problems) == before else []


def _sweep(name: str, sweep: Any, problems: list[str]) -> dict[str, list[Any]]:
    if not isinstance(sweep, Mapping):
        problems.append(f"variant {name!r}: sweep: expected keys with lists, not {sweep!r}")
        return {}
    lists: dict[str, list[Any]] = {}
    for key, value in sweep.items():
        place = f"variant {name!r}: sweep: {key}"
        words = _WORDS.get(key, {})
        if isinstance(value, str) and value in words:
            value = words[value]
        if not isinstance(value, list) or not value:
            expected = " or ".join([*(f"`{word}`" for word in words), "a list"])
            problems.append(f"{place}: expected {expected}, not {value!r}")
            continue
        lists[str(key)] = value
    return lists


def _excluded(name: str, rules: Any, sweep: Mapping[str, list[Any]], problems: list[str]) -> list[dict[str, list[Any]]]:
    """The combinations that are left out: of each swept key that a rule names, the values that it matches."""
    place = f"variant {name!r}: exclude"
    if not isinstance(rules, list) or not all(isinstance(rule, Mapping) and rule for rule in rules):
        problems.append(f"{place}: expected a list of keys with values, not {rules!r}")
        return []
    found = []
    for rule in rules:
        values = {str(key): value if isinstance(value, list) else [value] for key, value in rule.items()}
        for key, wanted in values.items():
            if key not in sweep:
                problems.append(f"{place}: {key}: {unknown_key(key, sweep)}")
            else:
                missing = [value for value in wanted if value not in sweep[key]]
                problems += [f"{place}: {key}: {value!r} is not swept" for value in missing]
        found.append(values)
    return found


def _matches(rule: Mapping[str, list[Any]], combination: Mapping[str, Any]) -> bool:
    return all(key in combination and combination[key] in values for key, values in rule.items())


def _find_duplicates(runs: list[GridRun], problems: list[str]) -> None:
    first: dict[str, GridRun] = {}
    for run in runs:
        other = first.setdefault(run.spec.digest, run)
        if other is not run:
            where = "twice" if other.variant == run.variant else f"already in variant {other.variant!r}"
            problems.append(f"variant {run.variant!r}: the run {run.spec.label()} is there {where}")
