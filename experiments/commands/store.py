"""`tfew store`: what is in a store of records, and keeping it in order."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.flags import Backbone, Data, Initial, Precision
from experiments.output import JSON, Column, show_json, show_table
from tfew_pl.errors import UserError

if TYPE_CHECKING:
    from tfew_pl.store import RunStore

app = typer.Typer(
    help="List, show, verify, tidy and export the records of a store.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

Store = Annotated[Path, typer.Option("--store", help="Folder of the records.")]
DEFAULT = Path("results/runs")


def _open(folder: Path) -> "RunStore":
    from tfew_pl.store import RunStore

    if not folder.is_dir():
        raise UserError(f"there is no store {folder}: name its folder with --store")
    return RunStore(folder)


def _find(store: "RunStore", prefix: str) -> str:
    """The digest that begins so, where there is exactly one."""
    found = sorted(digest for digest in store.digests() if digest.startswith(prefix))
    if len(found) == 1:
        return found[0]
    what = "no record" if not found else f"{len(found)} records"
    raise UserError(f"the store {store.folder} has {what} whose digest begins with {prefix}: see tfew store ls")


def rows(store: "RunStore") -> list[dict[str, Any]]:
    """A row a record: what was run, the accuracy over templates in percent (None without labels), how long it took."""
    from experiments.statistics import spread
    from tfew_pl.spec import ZERO_SHOT

    found = []
    for digest in sorted(store.digests()):
        record = store.read(digest)
        spec, costs = record["spec"], record["costs"]
        shares = [100 * share for share in record["accuracy"].values()]
        accuracy = spread(shares) if shares else None
        found.append(
            {
                "digest": digest,
                "task": spec["task"],
                "method": spec["method"],
                "seed": None if spec["method"] == ZERO_SHOT else spec["seed"],
                "backbone": spec["backbone"],
                "accuracy": None if accuracy is None else accuracy.median,
                "accuracy_iqr": None if accuracy is None else accuracy.iqr,
                "seconds": costs["training_seconds"] + costs["evaluation_seconds"],
                "commit": record["environment"].get("commit"),
            }
        )
    return sorted(found, key=lambda row: (row["method"], row["task"], row["backbone"], row["seed"] or 0))


@app.command()
def ls(store: Store = DEFAULT, json: JSON = False) -> None:
    """List the records, and the runs that failed.

    Examples:
        tfew store ls
        tfew store ls --store results/pocket/records --json
    """
    from experiments.display import duration
    from experiments.failures import Failures
    from experiments.quantities import percent
    from experiments.quantities import size as bytes_text
    from experiments.store_care import disk_usage

    records = _open(store)
    found = rows(records)
    if json:
        show_json(found)
        return
    columns = (
        Column("digest", "digest"),
        Column("method", "method"),
        Column("task", "task"),
        Column("seed", "seed", "right"),
        Column("backbone", "backbone"),
        Column("accuracy", "accuracy, %", "right", percent),
        Column("seconds", "time", "right", duration),
    )
    show_table(found, columns)
    failures = Failures(store)
    failed = [failure for digest in failures.digests() if (failure := failures.get(digest))]
    typer.echo(f"\n{len(found)} records, {bytes_text(disk_usage(store))}: {store}")
    for failure in failed:
        typer.echo(f"failed: {failure.label}: {failure.reason} ({failure.log})")


@app.command()
def show(
    digest: Annotated[str, typer.Argument(help="Of the record, or how it begins.")],
    store: Store = DEFAULT,
    json: JSON = False,
) -> None:
    """Show a record: accuracies, losses, costs, and the environment in which it was made.

    Examples:
        tfew store show 3f2a
        tfew store show 3f2a --store results/pocket/records --json
    """
    from experiments.run_report import show_record

    records = _open(store)
    record = records.load(_find(records, digest))
    show_record(record, records.path(record.spec), known=False, json=json)
    if not json:
        typer.echo()
        values = [{"what": key, "value": value} for key, value in _flat(record.environment)]
        show_table(values, (Column("what", "environment"), Column("value", "")))


def _flat(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(values, dict):
        return [(prefix, values)]
    return [pair for key, value in values.items() for pair in _flat(value, f"{prefix}.{key}" if prefix else key)]


@app.command()
def verify(store: Store = DEFAULT, json: JSON = False) -> None:
    """Read every record whole, compute anew what it says, and compare its files with their digests.

    Ends with code 1 where something is wrong.

    Examples:
        tfew store verify
        tfew store verify --store results/pocket/records --json
    """
    from experiments.store_care import problems

    records = _open(store)
    digests = sorted(records.digests())
    found = {digest: said for digest in digests if (said := list(problems(records, digest)))}
    if json:
        show_json({"records": len(digests), "problems": found})
    else:
        for digest, said in found.items():
            for line in said:
                typer.echo(f"{digest}: {line}")
        typer.echo(f"{len(digests) - len(found)} of {len(digests)} records are as they were written: {store}")
    if found:
        raise typer.Exit(1)


@app.command()
def recount(store: Store = DEFAULT) -> None:
    """Count the FLOPs of all finished runs anew: what is compared is then counted by one version of the code.

    Nothing is trained: a batch is scored, and a first step computed and thrown away. In the environment of those that
    were counted otherwise before stands by which code; all else in the records stays. It takes a second or two a
    record, and may be ended at any time.

    Examples:
        tfew store recount
        tfew store recount --store results/pocket/records
    """
    from experiments.display import show_progress
    from experiments.recounting import recount_store

    records = _open(store)
    with show_progress(str(store)) as progress:
        counted, changed = recount_store(records, lambda share: progress("counting", share))
    typer.echo(f"counted {counted} of {len(records.digests())} records, {changed} otherwise than before: {store}")


@app.command()
def gc(
    store: Store = DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove what killed processes left behind, and the logs of runs that have since succeeded. Records stay.

    Examples:
        tfew store gc --dry-run
        tfew store gc --store results/pocket/records
    """
    from experiments.store_care import remove, rubbish

    found = rubbish(_open(store))
    for path in found:
        typer.echo(path)
        if not dry_run:
            remove(path)
    typer.echo(f"{len(found)} files and folders {'would be' if dry_run else ''} removed".replace("  ", " "))


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="File to write: .csv, .parquet or .jsonl.")],
    store: Store = DEFAULT,
) -> None:
    """Write all records as one table: a row a run and template, every field of the run, its costs and environment.

    Examples:
        tfew store export --out records.csv
        tfew store export --store results/pocket/records --out records.parquet
    """
    from experiments.store_table import FORMATS, table, write

    if out.suffix not in FORMATS:
        raise UserError(f"--out {out}: its name ends in {', '.join(FORMATS)}")
    records = _open(store)
    content = table(records)
    write(content, out)
    typer.echo(f"{len(content)} rows of {len(records.digests())} records: {out}")


@app.command()
def pack(
    grids: Annotated[list[str], typer.Argument(help="Grid files, or names of shipped ones: table4.")],
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    store: Annotated[Path | None, typer.Option("--store", help="Folder of the records; the grid's own.")] = None,
) -> None:
    """Move the finished runs of a grid into one compact file of the store, which is read like their folders.

    It is what goes into version control: some 1 kB a run, and its adaptation if the grid keeps it. Runs that are
    in another grid's file already stay there. One command at a time packs, unpacks or recounts a store.

    Examples:
        tfew store pack table4
        tfew store pack table1 table9 --store /shared/results
    """
    from experiments.grid import find_grid, load_grid
    from experiments.quantities import size
    from experiments.replacements import Replaced
    from tfew_pl.store_archives import pack as pack_records

    for name in grids:
        grid = load_grid(find_grid(name), replaced=Replaced(backbone, data, precision, initial))
        written = pack_records(_open(store or grid.store), grid.name, {run.spec.digest for run in grid.runs})
        said = ", ".join(f"{path}, {size(path.stat().st_size)}" for path in written)
        typer.echo(f"{grid.name}: {said or 'nothing to pack'}")


@app.command()
def unpack(
    names: Annotated[list[str], typer.Argument(help="Of the files, without their ending: table4.")],
    store: Store = DEFAULT,
) -> None:
    """Move the records of such a file back into folders of their own, of which one can be removed to run it again.

    Examples:
        tfew store unpack table4 --store results/pocket/records
    """
    from tfew_pl.store_archives import unpack as unpack_records

    records = _open(store)
    for name in names:
        typer.echo(f"{name}: {unpack_records(records, name)} records unpacked into {store}")
