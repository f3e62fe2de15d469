"""Files from the Hugging Face hub, or from what was downloaded before; every trouble is one line."""

import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tfew_pl.errors import UserError

_TIMEOUT_SECONDS = 10


class HubUnreachableError(UserError):
    """The hub does not answer. It stops the search for further problems, each of which would say the same."""


@lru_cache(maxsize=1)
def _trouble() -> str:
    """Why the hub cannot be reached; empty if it can."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):
            return ""
    except urllib.error.HTTPError:
        return ""  # it answers
    except (OSError, ValueError) as error:
        return f"{endpoint}: {getattr(error, 'reason', error)}"


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE says to look at what is on disk only."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")


def require_hub(what: str) -> None:
    """Returns if the hub answers, or if HF_HUB_OFFLINE says to look at what is on disk only.

    Args:
        what: is wanted from it, for the message.

    Raises:
        HubUnreachableError: it does not answer.
    """
    if is_offline():
        return
    if _trouble():
        raise HubUnreachableError(
            f"{what} comes from the Hugging Face hub, which cannot be reached ({_trouble()}): check the connection, "
            f"set HF_HUB_OFFLINE=1 to use what was downloaded before, or stay with the pocket backbones and data"
        )


def fetch(
    repository: str,
    patterns: Sequence[str],
    revision: str | None,
    *,
    what: str,
    kind: Literal["model", "dataset"] = "model",
) -> Path:
    """A folder with a repository's files, downloaded where they are not there yet.

    Args:
        repository: its id, such as `bigscience/T0_3B`.
        patterns: which of its files; `*` stands for slashes too.
        revision: commit, branch or tag; None for `main`.
        what: is wanted, for messages.
        kind: of the repository.

    Returns:
        The snapshot's folder; its name is the commit. It may hold other files too, and lack some where nothing
        of the pattern is on disk and the hub is not asked.

    Raises:
        HubUnreachableError: the hub does not answer, and no snapshot is on disk.
        UserError: there is no such repository or revision, or it is gated.
    """
    from huggingface_hub import errors, snapshot_download

    place = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repository}"
    at = f" at {revision}" if revision else ""
    try:
        # Once more from the disk where the hub is unreachable: no retries, no timeouts.
        on_disk = is_offline() or bool(_trouble())
        return Path(
            snapshot_download(
                repository,
                repo_type=kind,
                revision=revision,
                allow_patterns=list(patterns),
                local_files_only=on_disk,
            )
        )
    except errors.GatedRepoError as error:
        raise UserError(
            f"{what}: {repository} is gated: accept its terms at {place}, then `hf auth login`, and run this again"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{what}: the hub has no {kind} {repository}, or it is private: check {place}, or `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{what}: {repository} has no revision {revision} on the hub: check {place}") from error
    except errors.LocalEntryNotFoundError as error:
        if is_offline():
            raise UserError(
                f"{what}: {repository}{at} is not on this machine, and HF_HUB_OFFLINE says not to ask the hub: "
                f"download it once without HF_HUB_OFFLINE"
            ) from error
        require_hub(what)
        raise UserError(f"{what}: cannot download {repository}{at}: {_first_line(error)}") from error
    except errors.HFValidationError as error:
        raise UserError(f"{what}: {repository!r} is no id of a repository of the hub") from error
    except OSError as error:
        raise UserError(f"{what}: cannot download {repository}{at}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
