"""The published tables, checked against themselves: every number that follows from other printed numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.audit import averages, costs, granularity, repeats, statements
from experiments.audit.finding import Finding

CHECKS = {
    "average": averages.check,
    "cost": costs.check,
    "granularity": granularity.check,
    "repeat": repeats.check,
    "statement": statements.check,
}
"""By name; each yields a Finding, or None, for every number that it looks at."""


@dataclass(frozen=True)
class Report:
    """What an audit found."""

    findings: tuple[Finding, ...]
    checked: Mapping[str, int]
    """How many numbers each check looked at."""


def audit() -> Report:
    """Runs every check over `results/paper`.

    Raises:
        UserError: a file of published numbers is missing.
    """
    found: list[Finding] = []
    checked: Counter[str] = Counter()
    for name, check in CHECKS.items():
        for finding in check():
            checked[name] += 1
            if finding is not None:
                found.append(finding)
    return Report(tuple(found), checked)


__all__ = ["CHECKS", "Finding", "Report", "audit"]
