"""What `tfew fit` says: what it understood before training, what it found after."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from tfew_pl.backbones import Backbone
from tfew_pl.encoding import tokenize
from tfew_pl.spec import RunSpec
from tfew_pl.tasks.task import Row
from tfew_pl.userdata.fitted import Fitted
from tfew_pl.userdata.task import TextTask

STRANGE = 2.0
"""Tokens a word from which a backbone is said not to know the words: T5 needs about 1.3 for English."""


def show_understood(
    path: Path,
    label: str,
    task: TextTask,
    rows: Sequence[Row],
    spec: RunSpec,
    backbone: Backbone,
    folds: int,
    test: Sequence[Row],
) -> None:
    """Prints the columns, the classes with their counts, an example as the model reads it, and the training.

    Args:
        path: of the table.
        label: its column of labels.
        task: what was made of it.
        rows: its examples.
        spec: of the training.
        backbone: whose tokenizer reads them.
        folds: that are left out in turn.
        test: rows to measure on.
    """
    columns = ", ".join(map(repr, task.columns.values()))
    typer.echo(f"{path}: {len(rows)} rows; the question is made of {columns}, the label is {label!r}")
    counts = Counter(map(task.label, rows))
    named = [
        f"{own} {counts[number]}" + (f" (as {answer!r})" if answer != str(own) else "")
        for number, (own, answer) in enumerate(zip(task.classes, task.answers, strict=True))
    ]
    typer.echo(f"{len(task.classes)} classes: {', '.join(named)}")
    alone = [str(task.classes[number]) for number, count in sorted(counts.items()) if count == 1]
    if alone and folds:
        typer.echo(f"one row alone has {', '.join(alone)}: where that row is left out, nothing is known of its class")
    questions = [task.check_rendering(row, path.name) for row in rows]
    for line in _repeated(questions, list(map(task.label, rows)), [task.check_rendering(row, "") for row in test]):
        typer.echo(line)
    typer.echo("an example, as the model reads it:")
    for line in _shortened(questions[0]).splitlines():
        typer.echo(f"  | {line}")
    typer.echo(f"  answer: {task.answers[task.label(rows[0])]}")
    _show_fit_of_words(questions, backbone, task.input_tokens)
    start = "pre-trained vectors" if spec.revisions.initial else "scratch"
    recipe = spec.recipe
    typer.echo(f"{spec.method} on {spec.backbone}, from {start}: {recipe.steps} steps of {recipe.batch_size} examples")


def _repeated(questions: Sequence[str], classes: Sequence[int], tested: Sequence[str]) -> Iterator[str]:
    """What to know of questions that are there more than once."""
    answers: dict[str, set[int]] = {}
    for question, own in zip(questions, classes, strict=True):
        answers.setdefault(question, set()).add(own)
    again = len(questions) - len(answers)
    if again:
        unlike = sum(len(own) > 1 for own in answers.values())
        other = f"; questions with more than one answer: {unlike}" if unlike else ""
        yield f"rows that repeat another's question: {again}, which are left out together with it{other}"
    known = sum(question in answers for question in tested)
    if known:
        yield f"{known} of {len(tested)} test rows are trained on, too: the accuracy on them says little of new rows"


def _shortened(text: str, most: int = 1000) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


def _show_fit_of_words(questions: Sequence[str], backbone: Backbone, limit: int) -> None:
    lengths = [len(tokenize(backbone.tokenizer, question, limit + 1)) for question in questions]
    whole = [number for number, length in enumerate(lengths) if length <= limit]
    cut = len(questions) - len(whole)
    if cut:
        typer.echo(f"{cut} of {len(questions)} questions are longer than {limit} tokens and are cut there")
    if whole:
        share = sum(lengths[i] - 1 for i in whole) / sum(len(questions[i].split()) for i in whole)  # without EOS
        if share >= STRANGE:
            typer.echo(
                f"{backbone.name} needs {share:.1f} tokens a word here: it hardly knows these words, and its accuracy "
                f"may be near chance; take a backbone that was trained on such text"
            )


def show_result(fitted: Fitted, folder: Path) -> None:
    """Prints the accuracy with its interval and how it was measured, and what to do next."""
    found = fitted.held_out
    if found is not None:
        low, high = found.interval
        how = f"each by one of {found.folds} trainings that left it out" if found.folds else "of the test table"
        typer.echo(
            f"held-out accuracy {found.accuracy:.1%}, 95 % interval {low:.1%} to {high:.1%}: "
            f"{found.right} of {found.rows} rows right, {how}"
        )
        if low <= found.most_frequent:
            typer.echo(
                f"this is no proof of learning: always giving the most frequent label is right for "
                f"{found.most_frequent:.1%}"
            )
    typer.echo(f"saved {folder}; next: tfew predict {folder} ROWS.csv")
