"""Scores of tokens under the language-model head, from logits that are made once and part after part."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CPU_LOGITS = 1 << 22
"""Logits that are there at once on a CPU: 16 MB, some 130 states of T5's vocabulary."""
LOGITS = 1 << 26
"""The same elsewhere."""


def token_scores(
    head: nn.Module, hidden: Tensor, state: Tensor, token: Tensor, wrong: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of tokens, each under one of some hidden states.

    Symbols: states, tokens (several may share a state), vocabulary. A head that is frozen, as parameter-efficient
    training leaves it, takes the fast path.

    Args:
        head: of the backbone, (..., d_model) -> (..., vocabulary).
        hidden: (states, d_model).
        state: (tokens,), which of the states each token is scored under.
        token: (tokens,), ids.
        wrong: (tokens,), True on tokens whose log(1 - p) is wanted; None for none.

    Returns:
        log p, (tokens,), and log(1 - p) of the wrong tokens, (wrong,), exact also for p near 1, or None; both in fp32
        or better.
    """
    if not _is_plain_and_frozen(head):
        return _by_parts(head, hidden, state, token, wrong)
    if wrong is None and not (torch.is_grad_enabled() and hidden.requires_grad):
        return _ranked(head.weight, hidden, state, token), None  # type: ignore[arg-type]
    log_p, log_complement = _TokenScores.apply(hidden, head.weight, state, token)
    return log_p, None if wrong is None else log_complement[wrong]


def _is_plain_and_frozen(head: nn.Module) -> bool:
    """Whether nothing but the hidden states wants a gradient, and a call of the head does nothing but multiply."""
    return (
        type(head) is nn.Linear
        and head.bias is None
        and not head.weight.requires_grad
        and not (head._forward_hooks or head._forward_pre_hooks or head._backward_hooks or "forward" in vars(head))
    )


def _by_parts(
    head: nn.Module, hidden: Tensor, state: Tensor, token: Tensor, wrong: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The same by autograd's own operations, for a head that is trained or hooked."""
    logits = _promoted(head(hidden))  # (states, vocabulary)
    normalizer = logits.logsumexp(-1)
    log_p = logits[state, token] - normalizer[state]
    if wrong is None:
        return log_p, None
    # log(1 - p) = logsumexp over the other tokens - logsumexp over all: no cancellation when p is near 1.
    of_wrong = state[wrong]
    others = logits[of_wrong].scatter(-1, token[wrong][:, None], float("-inf")).logsumexp(-1)
    return log_p, others - normalizer[of_wrong]


def _promoted(x: Tensor) -> Tensor:
    """In fp32 or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _parts(hidden: Tensor, vocabulary: int, state: Tensor) -> Iterator[tuple[Tensor, Tensor | slice, Tensor]]:
    """The states in parts: a part's states, its tokens' places, and which of its states each of them is under."""
    size = max(1, (CPU_LOGITS if hidden.device.type == "cpu" else LOGITS) // vocabulary)
    if len(hidden) <= size:
        yield hidden, slice(None), state
        return
    for first in range(0, len(hidden), size):
        places = ((state >= first) & (state < first + size)).nonzero()[:, 0]
        yield hidden[first : first + size], places, state[places] - first


@torch.no_grad()
def _ranked(weight: Tensor, hidden: Tensor, state: Tensor, token: Tensor) -> Tensor:
    """(tokens,), log p, where no gradient is wanted."""
    found = torch.empty(len(token), dtype=torch.promote_types(hidden.dtype, torch.float32), device=hidden.device)
    for part, places, of_state in _parts(hidden, len(weight), state):
        logits = _promoted(F.linear(part, weight))  # (part, vocabulary)
        chosen = logits[of_state, token[places]]
        top = logits.amax(-1)
        normalizer = logits.sub_(top[:, None]).exp_().sum(-1).log_() + top
        found[places] = chosen - normalizer[of_state]
    return found


class _TokenScores(torch.autograd.Function):
    """log p and log(1 - p) of tokens; what the backward pass needs of the logits is computed beside them.

    The gradient of log p with respect to a token's hidden state is (1 - p) (w - a), and that of log(1 - p) is
    -p (w - a): w is the token's row of the head's weights, and a is the mean of all other rows under the model's
    probabilities of these tokens, given that it is one of them. So w - a, (tokens, d_model), is all that is kept.

    A state's most probable token is left out of its sums and added at the end, so that 1 - p of any token is a sum of
    positive terms, or 1 minus at most a half: nothing cancels.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, state: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        log_p = torch.empty(len(token), dtype=dtype, device=hidden.device)
        log_complement = torch.empty_like(log_p)
        wants_gradient = ctx.needs_input_grad[0]
        away = log_p.new_empty(len(token), hidden.shape[1]) if wants_gradient else None  # w - a
        for part, places, of_state in _parts(hidden, len(weight), state):
            chosen_token = token[places]
            logits = _promoted(F.linear(part, weight))  # (part, vocabulary)
            chosen = logits[of_state, chosen_token]
            top, top_token = logits.max(-1)
            logits.scatter_(1, top_token[:, None], float("-inf"))
            second = logits.amax(-1)
            odds = logits.sub_(second[:, None]).exp_()  # of the tokens that are not a state's most probable
            total = odds.sum(-1)
            log_rest = total.log() + second
            normalizer = torch.logaddexp(top, log_rest)  # (part,)
            of_chosen = chosen - normalizer[of_state]
            p = of_chosen.exp()
            is_top = chosen_token == top_token[of_state]
            log_1_p = torch.where(is_top, (log_rest - normalizer)[of_state], torch.log1p(-p.clamp(max=0.5)))
            log_p[places], log_complement[places] = of_chosen, log_1_p
            if away is None:
                continue
            rest = _promoted(odds.to(weight.dtype) @ weight).div_(total[:, None])  # (part, d_model): their mean row
            of_top = _promoted(weight[top_token])
            mean = torch.lerp(rest, of_top, (top - normalizer).exp()[:, None])  # over all tokens
            w, p = _promoted(weight[chosen_token]), p[:, None]
            others = torch.where(is_top[:, None], rest[of_state], (mean[of_state] - p * w) / (1 - p).clamp(min=0.5))
            away[places] = w - others
        if away is not None:
            ctx.save_for_backward(away, log_p, log_complement, state)
            ctx.states, ctx.dtype = len(hidden), hidden.dtype
        return log_p, log_complement

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_log_p: Tensor, of_log_complement: Tensor) -> tuple[Tensor | None, ...]:
        away, log_p, log_complement, state = ctx.saved_tensors
        along = of_log_p * log_complement.exp() - of_log_complement * log_p.exp()  # (tokens,)
        of_hidden = away.new_zeros(ctx.states, away.shape[1]).index_add_(0, state, away * along[:, None])
        return of_hidden.to(ctx.dtype), None, None, None
