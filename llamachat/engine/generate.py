"""The decode loop, as an iterator of events; a command, a chat, a server and a test consume the same thing.

It knows a context (tokens so far, evaluate, truncate, remove) and a tokenizer (bytes of a token, end tokens), nothing
else: a chat is the caller's, who renders the whole conversation each turn and hands in all its tokens. What the context
already holds of it is not evaluated again.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llamachat.engine.answering import UNLIMITED, Answering, GenerationOptions
from llamachat.engine.events import EvaluatingContext, Event, Progress, Stop, StopReason, Timings, Token
from llamachat.engine.sampling.vocabulary import Vocabulary
from llamachat.engine.speculation.proposer import Proposer
from llamachat.engine.window import Window, common_prefix
from llamachat.errors import Cancelled, ContextFull, UsageError

__all__ = [
    "UNLIMITED",
    "Event",
    "GenerationOptions",
    "Speculation",
    "Stop",
    "StopReason",
    "Timings",
    "Token",
    "common_prefix",
    "generate",
]

DRAFT_MAX = 16


@dataclass(frozen=True)
class Speculation:
    """Guesses ahead: at most `most` tokens a step by `proposer`. The text is the same with and without."""

    proposer: Proposer
    most: int = DRAFT_MAX


def generate(
    context: EvaluatingContext,
    vocabulary: Vocabulary,
    prompt: Sequence[int],
    options: GenerationOptions | None = None,
    progress: Progress | None = None,
    speculation: Speculation | None = None,
    n_begun: int = 0,
) -> Iterator[Event]:
    """Continues the tokens `prompt`: a Token per chosen token, then one Stop, whose text is what was still held back.

    n_begun: so many of the prompt's last tokens are the beginning of the answer. They are part of its text, of what the
    grammar reads and of the events, but not of `max_tokens` and the timings' n_generated.

    The longest common prefix of `context.tokens` and the prompt is kept, the rest of the context forgotten, the rest
    of the prompt evaluated (at least its last token); `progress` counts the tokens of that evaluation.

    When it has ended, `context.tokens` is exactly what was evaluated, also if the iterator is closed early: the prompt
    and the chosen tokens except the last, which is evaluated only when another one follows (an end token never is),
    without what was dropped to make room.

    Raises UsageError for an empty prompt and ContextFull for one that is longer than the context, both at the call
    and before anything is evaluated.
    """
    if not prompt:
        raise UsageError("the prompt is empty (it has no tokens), so there is nothing to continue; give some text")
    if not 0 <= n_begun < len(prompt):
        raise UsageError(f"n_begun must be from 0 to {len(prompt) - 1}, not {n_begun}")
    options = options or GenerationOptions()
    answering = Answering(vocabulary, options, prompt, n_begun)
    n_keep = options.kept(len(prompt), vocabulary.add_bos)
    answering.timings.n_keep = n_keep or 0
    proposer, most = (speculation.proposer, speculation.most) if speculation is not None else (None, 0)
    window = Window(context, n_keep, answering.timings, proposer, most)
    if not window.fits(prompt):
        raise ContextFull(
            f"the prompt has {len(prompt)} tokens, but the context holds {context.n_ctx}; shorten the prompt or use a "
            "larger context"
        )
    return _events(window, answering, prompt, progress)


def _events(window: Window, answering: Answering, prompt: Sequence[int], progress: Progress | None) -> Iterator[Event]:
    timings, started = answering.timings, time.perf_counter()
    reason: StopReason | None = None
    try:
        yield from answering.begun
        try:
            logits = window.begin(prompt, progress)
        finally:
            timings.prompt_s = time.perf_counter() - started
        while answering.reason is None:
            token = answering.choose(logits)
            if token is not None:
                yield token
            if answering.reason is None:
                if not window.can_go_on():
                    reason = "context"
                    break
                logits = window.after(answering.token, answering.n_left)
    except Cancelled:
        reason = "cancelled"
    finally:
        window.end()
        timings.generation_s = time.perf_counter() - started - timings.prompt_s
    yield answering.stop(reason)
