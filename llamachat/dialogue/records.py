"""Answers as mappings for programs: one for every event, or one for a whole answer."""

import math
from collections.abc import Callable
from typing import Any, Protocol

from llamachat.dialogue.figures import record
from llamachat.dialogue.sinks import Echo
from llamachat.engine.events import Event, Failed, Stop, Timings, Token


class Pieces(Protocol):
    """What records of tokens need of a tokenizer."""

    def piece_bytes(self, token: int, special: bool = ...) -> bytes:
        """What a token prints, with `special` also a control token."""
        ...


class Records:
    """Turns events into mappings. summary: figures of an answer from its timings."""

    def __init__(self, pieces: Pieces, summary: Callable[[Timings], dict[str, Any]]) -> None:
        self._pieces, self._summary = pieces, summary

    def of(self, event: Event) -> dict[str, Any]:
        """One event."""
        if isinstance(event, Echo):
            return {"event": "prompt", "text": event.text}
        if isinstance(event, Token):
            return {"event": "token", "text": event.text, **self._token(event)}
        if isinstance(event, Stop):
            error = {"error": str(event.error)} if event.error is not None else {}
            return {"event": "stop", "text": event.text, "reason": event.reason, **error, **self.summary(event)}
        if isinstance(event, Failed):
            return {"event": "stop", "text": event.text, "reason": "error", "error": str(event.error)}
        return {"event": "text", "text": event.text}

    def whole(self, events: list[Event]) -> dict[str, Any]:
        """A whole answer, whose last event is its Stop or Failed."""
        end = events[-1]
        tokens = [{**self._spelled(one.id), **self._token(one)} for one in events if isinstance(one, Token)]
        details = {"tokens": tokens} if any("logprob" in token for token in tokens) else {}
        text = "".join(event.text for event in events)
        return {"text": text, **details, **{k: v for k, v in self.of(end).items() if k not in ("event", "text")}}

    def summary(self, stop: Stop) -> dict[str, Any]:
        """The figures of an answer."""
        return {"timings": self._summary(stop.timings)}

    def _token(self, token: Token) -> dict[str, Any]:
        if token.logprob is None:
            return {"id": token.id}
        top = [{"id": i, **self._spelled(i), "logprob": _finite(share)} for i, share in token.top]
        return {"id": token.id, "logprob": _finite(token.logprob), **({"top": top} if top else {})}

    def _spelled(self, token: int) -> dict[str, Any]:
        """A token's own text, and its bytes where they are no text."""
        piece = self._pieces.piece_bytes(token, special=True)
        try:
            return {"text": piece.decode()}
        except UnicodeDecodeError:
            return {"text": piece.decode("utf-8", "replace"), "bytes": list(piece)}


def _finite(value: float) -> float | None:
    """The number, None for an infinity, which JSON does not have."""
    return value if math.isfinite(value) else None


def records(pieces: Pieces, load_s: float, n_ctx: int) -> Records:
    """Records with all figures."""
    return Records(pieces, lambda timings: record(timings, load_s, n_ctx))
