"""`tfew doctor`: whether this machine has what runs need."""

import dataclasses

import typer

from experiments.output import JSON, show_json

_COLORS = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "broken": typer.colors.RED}


def command(json: JSON = False) -> None:
    """Check what runs need: packages, templates, weights, device, disk.

    The exit code is 1 if something that is needed is broken.

    Examples:
        tfew doctor
        tfew doctor --json
    """
    from experiments.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not json:
            status = typer.style(f"{finding.status:<6}", fg=_COLORS[finding.status])
            typer.echo(f"{status}  {finding.check:<9}  {finding.detail}")
    if json:
        show_json([dataclasses.asdict(finding) for finding in findings])
    if any(finding.status == "broken" for finding in findings):
        raise typer.Exit(1)
