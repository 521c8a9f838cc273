"""Standard output for answers, and the status line on standard error for what takes time."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from llamachat.dialogue.responder import Answer, Responder
from llamachat.dialogue.running import Cancellable
from llamachat.engine.events import Event, StopReason
from llamachat.terminal import statistics
from llamachat.terminal.output import Output, note
from llamachat.terminal.status import Status
from llamachat.terminal.stream import Stream

REMARKS: dict[StopReason, str] = {
    "length": "cut short: the number of tokens that -n allows is reached",
    "context": "cut short: the context is full (--ctx-size)",
    "cancelled": "interrupted",
    "grammar": "cut short: the grammar failed",
}


@dataclass(frozen=True)
class Console:
    """Runs answers (`dialogue.running.Runner`) in a thread beside the main one, so that Ctrl+C always works.

    The first Ctrl+C ends an answer, a second one raises KeyboardInterrupt.
    """

    output: Output = field(default_factory=Output)
    status: Status = field(default_factory=Status)

    def progress(self, done: int, total: int) -> None:
        """Shows a bar for a prompt that takes long."""
        self.status.progress("reading the prompt", done, total)

    def scoring(self, done: int, total: int) -> None:
        """Shows a bar for a text that is scored, in tokens."""
        self.status.progress("scoring", done, total)

    @contextmanager
    def events(
        self, events: Iterator[Event], engine: Cancellable, idle: Callable[[], None]
    ) -> Iterator[Iterable[Event]]:
        """The events of an answer; the status line goes away before the first one. Raises BrokenPipeError."""
        with Stream(events, engine, idle) as stream:
            yield self._after_status(stream)
        self.status.clear()

    def _after_status(self, stream: Iterable[Event]) -> Iterator[Event]:
        begun = False
        for event in stream:
            if not begun:
                self.status.clear()
            begun = True
            yield event


def report(answer: Answer, responder: Responder, everything: bool = False) -> None:
    """Says on standard error how fast an answer was, and why it ended if not by itself."""
    remark = REMARKS.get(answer.reason)
    figures = statistics.line(answer.timings)
    note(figures + (f" {remark}" if remark else ""))
    if everything:
        note(statistics.report(answer.timings, responder.load_s, responder.context.n_ctx))


def for_chats(responder: Responder) -> Responder:
    """The responder for prompts of a chat template; says so where the model has none and none was chosen."""
    if responder.template is None and responder.model.chat_template is None:
        note("this model has no chat template, so ChatML is used: if it only continues texts, it may not follow it")
    return responder.in_chats()
