"""Asking the hub once."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import errors

from tfew_pl import hub
from tfew_pl.backbones import revision
from tfew_pl.errors import UserError
from tfew_pl.resolve import resolve
from tfew_pl.spec import RunSpec


@pytest.fixture
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for cached in (hub._trouble, revision):
        cached.cache_clear()
    yield
    for cached in (hub._trouble, revision):
        cached.cache_clear()


@pytest.mark.usefixtures("_asked_anew")
def test_unreachable_hub_is_one_message_and_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def refuse(request: Any, timeout: float) -> None:
        attempts.append(request.full_url)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    for task in ("rte", "cb"):
        with pytest.raises(UserError, match=r"^backbone t0-3b .*cannot be reached .*Name or service") as caught:
            resolve(RunSpec(task=task, backbone="t0-3b", data="hub", method="zero-shot"))
        assert "\n" not in str(caught.value)
    assert attempts == ["https://huggingface.co"]


@pytest.mark.usefixtures("_asked_anew")
def test_a_hub_that_answers_anything_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Any, timeout: float) -> None:
        raise urllib.error.HTTPError(request.full_url, 405, "Method Not Allowed", Message(), None)

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    hub.require_hub("this")


def _refusal(kind: str, text: str) -> Exception:
    error: Exception = getattr(errors, kind)(text, response=SimpleNamespace(headers={}, request=None))
    return error


@pytest.mark.usefixtures("_asked_anew")
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            _refusal("GatedRepoError", "403\nAccess is restricted"),
            r"a/b is gated: accept its terms at \S+a/b",
        ),
        (_refusal("RepositoryNotFoundError", "404\nnone"), "the hub has no dataset a/b, or it is private"),
        (_refusal("RevisionNotFoundError", "404\nnone"), "a/b has no revision c0ffee on the hub"),
        (_refusal("HfHubHTTPError", "429\nToo many requests"), "cannot download a/b at c0ffee: 429"),
        (OSError(28, "No space left on device"), "cannot download a/b at c0ffee: .*No space left on device"),
    ],
    ids=["gated", "missing", "no such revision", "refused", "full disk"],
)
def test_what_the_hub_refuses_is_one_line_with_what_to_do(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: nullcontext())
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(UserError, match=rf"^task x: .*{message}") as caught:
        hub.fetch("a/b", ["*"], "c0ffee", what="task x", kind="dataset")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("_asked_anew")
def test_offline_mode_does_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: pytest.fail("asked"))
    hub.require_hub("this")
