"""What is left to do of a grid, shared with every other runner of the same store."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.events import Event, Failed, FinishedElsewhere
from experiments.failures import Failures
from experiments.grid import GridRun
from experiments.groups import Group
from tfew_pl.errors import UserError
from tfew_pl.leases import Leases
from tfew_pl.record import median_accuracy
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore


@dataclass(frozen=True)
class Claim:
    """A group that this runner alone may do now."""

    group: Group
    """All of it is done, also what has a record: what is trained together does not depend on interruptions."""
    missing: Group
    """Its runs without a record."""

    @property
    def specs(self) -> tuple[RunSpec, ...]:
        """Of the whole group."""
        return tuple(run.spec for run in self.group)

    @property
    def digests(self) -> tuple[str, ...]:
        """Of the whole group."""
        return tuple(spec.digest for spec in self.specs)

    @property
    def name(self) -> str:
        """The same for the same group, however much of it is missing."""
        return " ".join(self.digests)


class WorkQueue:
    """Gives out the groups of a grid that have runs without a record, each to one runner of the store at a time.

    Args:
        groups: of the whole grid.
        store: of the records.
        leases: of this runner, in the store.
        failures: of the store.
        finished: digests of the runs whose records were there at the start.
        since: a run that has failed since then is not tried again; None for when this runner started.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        store: RunStore,
        leases: Leases,
        failures: Failures,
        finished: set[str],
        since: float | None = None,
    ) -> None:
        self.store = store
        self.failures = failures
        self._leases = leases
        self.since = leases.started if since is None else since
        # A run is reported once: here while it has not been.
        self._unreported = {
            run.spec.digest: run for group in groups for run in group if run.spec.digest not in finished
        }
        self._open = deque(group for group in groups if any(run.spec.digest in self._unreported for run in group))
        self._ended: list[Group] = []

    @property
    def open(self) -> int:
        """Groups that are neither done nor being done by this runner."""
        return len(self._open)

    def unreported(self) -> list[GridRun]:
        """The runs of which nobody has heard how they ended."""
        return list(self._unreported.values())

    def take(self) -> Claim | None:
        """The next group that nobody else is doing; None if there is none at present.

        Raises:
            UnwritableStoreError: the store does not let a lease be taken.
        """
        for _ in range(len(self._open)):
            group = self._open.popleft()
            missing = self._without_record(group, self.store.has_folder)
            digests = sorted(run.spec.digest for run in missing)
            try:
                taken = bool(missing) and self._leases.take(digests)
            except OSError as error:
                raise self.store.unwritable(error) from error
            # Again: a run may have been finished, and even packed, just before its lease was taken.
            if taken and (missing := self._without_record(group, self.store.__contains__)):
                self._ended.append(tuple(run for run in group if run not in missing))
                return Claim(group, missing)
            self._leases.release(digests)
            (self._open if missing else self._ended).append(group)
        return None

    def put_back(self, *groups: Group) -> None:
        """Has groups done again that this runner has claimed, before all others."""
        for group in reversed(groups):
            self._leases.release(run.spec.digest for run in group)
            self._open.appendleft(group)

    def settle(self, claim: Claim) -> None:
        """Gives the leases of a claim back: its runs have records, or have failed for good."""
        self._leases.release(claim.digests)

    def report(self, run: GridRun) -> bool:
        """Whether it has yet to be reported that the run has ended; it counts as reported from now on."""
        return self._unreported.pop(run.spec.digest, None) is not None

    def news(self, look: bool = False) -> Iterator[Event]:
        """What other runners have done, and processes of this one that died, of what is not claimed.

        Args:
            look: at every open group, not only at those that `take` has come across.
        """
        for group in [*self._ended, *(self._open if look else ())]:
            for run in group:
                if run.spec.digest in self._unreported and (event := self._ended_elsewhere(run)) is not None:
                    self.report(run)
                    yield event
        self._ended.clear()
        if look:
            self._open = deque(g for g in self._open if any(run.spec.digest in self._unreported for run in g))

    def _ended_elsewhere(self, run: GridRun) -> Event | None:
        if run.spec in self.store:
            try:
                accuracy = median_accuracy(self.store.read(run.spec.digest)["accuracy"])
            except UserError as error:
                return Failed(run, None, str(error), 0.0, self.store.path(run.spec))
            return FinishedElsewhere(run, accuracy)
        failure = self.failures.get(run.spec.digest, self.since)
        if failure is None:
            return None
        return Failed(run, None, failure.reason, failure.seconds, Path(failure.log))

    def _without_record(self, group: Group, known: Callable[[RunSpec], bool]) -> Group:
        return tuple(
            run
            for run in group
            if run.spec.digest in self._unreported
            and not known(run.spec)
            and self.failures.get(run.spec.digest, self.since) is None
        )
