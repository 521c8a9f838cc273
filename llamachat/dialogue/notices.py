"""What a dialogue reports besides the answers. Who shows it chooses the words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Notice:
    """Something that happened in a dialogue."""


@dataclass(frozen=True)
class TurnsForgotten(Notice):
    """The context is full: the model does not read the oldest turns any more."""

    n_turns: int


@dataclass(frozen=True)
class Summarizing(Notice):
    """The context is full: the model begins to summarise the oldest turns."""

    n_turns: int


@dataclass(frozen=True)
class ToolCalled(Notice):
    """The model has called a tool."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ToolReturned(Notice):
    """The result of a call, as the model reads it."""

    result: str


@dataclass(frozen=True)
class CallUnreadable(Notice):
    """A call that cannot be read, so it is not run."""

    problem: str


@dataclass(frozen=True)
class TooManyCalls(Notice):
    """This many answers in a row have called tools; the last calls are not answered."""

    n_rounds: int
