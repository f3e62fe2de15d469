"""Whether the Hugging Face hub can be reached, asked once instead of once a file with retries."""

import os
import urllib.error
import urllib.request
from functools import lru_cache

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


def require_hub(what: str) -> None:
    """Returns if the hub answers, or if HF_HUB_OFFLINE says to look at what is on disk only.

    Args:
        what: is wanted from it, for the message.

    Raises:
        HubUnreachableError: it does not answer.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return
    if _trouble():
        raise HubUnreachableError(
            f"{what} comes from the Hugging Face hub, which cannot be reached ({_trouble()}): check the connection, "
            f"set HF_HUB_OFFLINE=1 to use what was downloaded before, or stay with the pocket backbones and data"
        )
