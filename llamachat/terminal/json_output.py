"""Answers as JSON on standard output: a line for every event, or one object at the end."""

import json
from typing import Any

from llamachat.dialogue.records import Records
from llamachat.dialogue.sinks import Echo
from llamachat.engine.events import Event, Stop
from llamachat.terminal.output import Output
from llamachat.terminal.schema import versioned


class JsonLines(Output):
    """A line of JSON for every event."""

    def __init__(self, made: Records) -> None:
        super().__init__()
        self._records = made

    def event(self, event: Event) -> None:
        """Writes it at once."""
        self.write(json.dumps(versioned(self._records.of(event)), ensure_ascii=False) + "\n")


class JsonObject(Output):
    """One object, when the answer has ended."""

    def __init__(self, made: Records) -> None:
        super().__init__()
        self._records = made
        self._events: list[Event] = []
        self._echoed: dict[str, str] = {}

    def event(self, event: Event) -> None:
        """Keeps it; the last one writes all. A prompt becomes a field."""
        if isinstance(event, Echo):
            self._echoed = {"prompt": event.text}
            return
        self._events.append(event)
        if isinstance(event, Stop):
            events, self._events = self._events, []
            self._put(self._records.whole(events))

    def close(self) -> None:
        """Writes what was said of an answer that an error has ended."""
        events, self._events = self._events, []
        if events:
            self._put({"text": "".join(event.text for event in events), "reason": "error"})

    def _put(self, record: dict[str, Any]) -> None:
        self.write(json.dumps(versioned({**self._echoed, **record}), ensure_ascii=False) + "\n")
