"""The decode loop, as an iterator of events; a command, a chat, a server and a test consume the same thing.

It knows a context (tokens so far, evaluate, truncate, remove) and a tokenizer (bytes of a token, end tokens), nothing
else: a chat is the caller's, who renders the whole conversation each turn and hands in all its tokens. What the context
already holds of it is not evaluated again.
"""

from collections.abc import Iterator, Sequence

from llamachat.engine.answering import UNLIMITED, GenerationOptions
from llamachat.engine.events import (
    EvaluatingContext,
    Event,
    Failed,
    Notice,
    Progress,
    Stop,
    StopReason,
    Timings,
    Token,
)
from llamachat.engine.generation_context import common_prefix
from llamachat.engine.pool import OneContext
from llamachat.engine.reading_context import ReadingContext
from llamachat.engine.sampling.vocabulary import Vocabulary
from llamachat.engine.scheduler import Request, Scheduler
from llamachat.engine.speculation.proposer import Speculation

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

    n_begun: how many of the prompt's last tokens are the beginning of the answer. They are part of its text, of what
    the grammar reads and of the events, but not of `max_tokens` and the timings' n_generated.

    The longest common prefix of `context.tokens` and the prompt is kept, the rest of the context forgotten, the rest
    of the prompt evaluated (at least its last token); `progress` counts the tokens of that evaluation.

    When it has ended, `context.tokens` is exactly what was evaluated, also if the iterator is closed early: the prompt
    and the chosen tokens except the last, which is evaluated only when another one follows (an end token never is),
    without what was dropped to make room.

    The prompt of an encoder-decoder is its encoder's text (`ReadingContext`); the answer is its decoder's.

    Raises UsageError for an empty prompt and ContextFull for one that is longer than the context, both at the call
    and before anything is evaluated.
    """
    if isinstance(context, ReadingContext):
        text = len(prompt) - n_begun
        prompt = [*context.read(prompt[:text]), *prompt[text:]]
    request = Request(prompt, options or GenerationOptions(), speculation=speculation, n_begun=n_begun)
    scheduler = Scheduler(OneContext(context, vocabulary.add_bos), vocabulary, piece=None)
    scheduler.add(request)
    return _events(scheduler, progress)


def _events(scheduler: Scheduler, progress: Progress | None) -> Iterator[Event]:
    try:
        while not scheduler.idle:
            for _, event in scheduler.step(progress):
                if isinstance(event, Failed):
                    raise event.error
                if not isinstance(event, Notice):
                    yield event
    finally:
        scheduler.close()
