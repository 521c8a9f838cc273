"""The decode loop, as an iterator of events; a command, a chat, a server and a test consume the same thing.

It knows a context (tokens so far, evaluate, truncate) and a tokenizer (bytes of a token, end tokens), nothing else:
a chat is the caller's, who renders the whole conversation each turn and hands in all its tokens. What the context
already holds of them is not evaluated again.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.sampling.chain import Sampler
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.text import TextStream
from llamachat.errors import Cancelled, ContextFull, UsageError

StopReason = Literal["eos", "length", "stop", "context", "cancelled"]
Progress = Callable[[int, int], None]

UNLIMITED = -1


class EvaluatingContext(Protocol):
    """What generating needs of a context."""

    @property
    def n_ctx(self) -> int:
        """How many tokens it can hold."""
        ...

    @property
    def tokens(self) -> Sequence[int]:
        """The tokens evaluated so far."""
        ...

    def eval(
        self, tokens: Sequence[int], logits: Literal["last"] = "last", progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Append `tokens`; float32 [n_vocab] logits after the last. Raises Cancelled, keeping a prefix of them."""
        ...

    def truncate(self, n_past: int) -> None:
        """Forget everything after the first `n_past` tokens."""
        ...


class TokenText(Protocol):
    """What generating needs of a tokenizer."""

    @property
    def eog(self) -> Collection[int]:
        """The tokens that end a generation."""
        ...

    def piece_bytes(self, token: int) -> bytes:
        """What `token` prints; may be part of a character."""
        ...


@dataclass(frozen=True)
class Event:
    """Something that happened while generating; `text` is the text it set free, maybe ""; joined, the answer."""

    text: str


@dataclass(frozen=True)
class Token(Event):
    """A token was chosen. Its own text may be freed by a later event; `logprob` as in `SamplingOptions.logprobs`."""

    id: int
    logprob: float | None = None


@dataclass(frozen=True)
class Stop(Event):
    """The last event. reason: "eos" (an end token, for which there is no Token event), "length" (max_tokens),
    "stop" (a stop string, not part of any text), "context" (it is full), "cancelled" (Context.cancel).
    """

    reason: StopReason


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How to generate: max_tokens -1 is no limit, 0 evaluates the prompt only; `stop` strings end the text.

    Raises UsageError with the option's name.
    """

    max_tokens: int = UNLIMITED
    stop: tuple[str, ...] = ()
    sampling: SamplingOptions = field(default_factory=SamplingOptions)

    def __post_init__(self) -> None:
        if isinstance(self.max_tokens, bool) or not isinstance(self.max_tokens, int) or self.max_tokens < UNLIMITED:
            raise UsageError(f"max_tokens must be a whole number, -1 (no limit) or more, not {self.max_tokens!r}")
        TextStream(self.stop)


def generate(
    context: EvaluatingContext,
    tokenizer: TokenText,
    prompt_tokens: Sequence[int],
    options: GenerationOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Event]:
    """Continues `prompt_tokens`: a Token per chosen token, then one Stop, whose text is what was still held back.

    The longest common prefix of `context.tokens` and the prompt is kept, the rest of the context forgotten, the rest
    of the prompt evaluated (at least its last token); `progress` counts the tokens of that evaluation.

    `context.tokens` is at any time exactly what was evaluated, also if the iterator is closed early: the prompt and
    the chosen tokens except the last, which is evaluated only when another one follows (an end token never is).

    Raises UsageError for an empty prompt and ContextFull for one that is longer than the context, both at the call
    and before anything is evaluated.
    """
    if not prompt_tokens:
        raise UsageError("The prompt is empty (it has no tokens), so there is nothing to continue; give some text")
    if len(prompt_tokens) > context.n_ctx:
        raise ContextFull(
            f"The prompt has {len(prompt_tokens)} tokens, but the context holds {context.n_ctx}; shorten the prompt or "
            "use a larger context"
        )
    return _events(context, tokenizer, prompt_tokens, options or GenerationOptions(), progress)


def _events(
    context: EvaluatingContext,
    tokenizer: TokenText,
    prompt: Sequence[int],
    options: GenerationOptions,
    progress: Progress | None,
) -> Iterator[Event]:
    stream = TextStream(options.stop)
    reason: StopReason | None = "length" if options.max_tokens == 0 else None
    n_chosen = 0
    try:
        logits = _evaluate_prompt(context, prompt, progress)
        sampler = Sampler(options.sampling, logits.size)
        for token in prompt:
            sampler.accept(token)
        while reason is None:
            choice = sampler.sample(logits)
            if choice.token in tokenizer.eog:
                reason = "eos"
                break
            sampler.accept(choice.token)
            n_chosen += 1
            yield Token(stream.feed(tokenizer.piece_bytes(choice.token)), choice.token, choice.logprob)
            reason = _ending(stream, n_chosen == options.max_tokens, len(context.tokens) >= context.n_ctx)
            if reason is None:
                logits = context.eval([choice.token])
    except Cancelled:
        reason = "cancelled"
    yield Stop(stream.finish(), reason)


def _ending(stream: TextStream, is_last: bool, is_full: bool) -> StopReason | None:
    if stream.stopped:
        return "stop"
    if is_last:
        return "length"
    return "context" if is_full else None


def _evaluate_prompt(
    context: EvaluatingContext, prompt: Sequence[int], progress: Progress | None
) -> NDArray[np.float32]:
    """The logits after the prompt, evaluating only what the context does not hold, and at least the last token."""
    n_kept = min(common_prefix(context.tokens, prompt), len(prompt) - 1)
    if n_kept < len(context.tokens):
        context.truncate(n_kept)
    return context.eval(prompt[n_kept:], progress=progress)


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens at their beginning are the same."""
    pairs = zip(first, second, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))
