"""Prefills the known prefix: what every next prompt of a conversation begins with is evaluated before the message.

Then an answer waits for the message alone, also the first one, and where a template takes earlier thoughts away.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from llamachat.dialogue.reuse import as_held, keep_same
from llamachat.endings import wait_through
from llamachat.engine.events import Timings
from llamachat.engine.generation_context import GenerationContext

if TYPE_CHECKING:
    from llamachat.dialogue.responder import Responder


class Prefill:
    """Evaluates a prefix in a thread, from `start` to `stop`. find: finds its tokens, in that thread."""

    def __init__(self, responder: "Responder", find: Callable[[], list[int]]) -> None:
        self._context, self._piece_bytes = responder.context, responder.model.tokenizer.piece_bytes
        self._find = find
        self._thread = Thread(target=self._run, name="llamachat-prefill", daemon=True)
        self._claim, self._ended = Lock(), Event()

    def start(self) -> None:
        """Begins; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the evaluation; when it returns nothing is computed any more, also when Ctrl+C came meanwhile."""
        self._context.cancel()
        try:
            if not self._claim.acquire(blocking=False):  # else the thread finds it taken and does nothing
                wait_through(self._ended)
        finally:
            self._context.resume()

    def _run(self) -> None:
        if self._claim.acquire(blocking=False):
            try:
                self._evaluate()
            finally:
                self._ended.set()

    def _evaluate(self) -> None:
        """What goes wrong here, as in a template that refuses, goes wrong again where the message is asked."""
        context = self._context
        with suppress(Exception):
            known = as_held(self._find(), context.tokens, self._piece_bytes)
            fits = len(known) <= context.n_ctx - context.n_ctx // 4
            if known and fits and context.tokens[: len(known)] != known:
                keep_same(context, known)
                generation = GenerationContext(context, None, Timings())
                try:
                    generation.begin(known)
                finally:
                    generation.end()
