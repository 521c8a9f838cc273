"""The words for what a dialogue reports."""

from functools import singledispatch

from llamachat.dialogue.notices import (
    CallUnreadable,
    Notice,
    Summarizing,
    ToolCalled,
    ToolReturned,
    TooManyCalls,
    TurnsForgotten,
)
from llamachat.terminal.tools.agreement import visible
from llamachat.terminal.tools.shown import shown_call, shown_result


@singledispatch
def sentence_of(notice: Notice) -> str:
    """A line for a person. Raises NotImplementedError for a notice that has no words yet."""
    raise NotImplementedError(f"no words for {type(notice).__name__}")


@sentence_of.register
def _(notice: TurnsForgotten) -> str:
    return f"(the context is full: {_turns(notice.n_turns, 'is', 'are')} forgotten)"


@sentence_of.register
def _(notice: Summarizing) -> str:
    return f"(the context is full: {_turns(notice.n_turns, 'becomes', 'become')} a summary)"


@sentence_of.register
def _(notice: ToolCalled) -> str:
    return shown_call(notice.name, notice.arguments)


@sentence_of.register
def _(notice: ToolReturned) -> str:
    return shown_result(notice.result)


@sentence_of.register
def _(notice: CallUnreadable) -> str:
    return visible(f"(not run: {notice.problem})")


@sentence_of.register
def _(notice: TooManyCalls) -> str:
    return f"(stopped: {notice.n_rounds} answers in a row have called tools)"


def _turns(count: int, one: str, many: str) -> str:
    return f"the oldest turn {one}" if count == 1 else f"the oldest {count} turns {many}"
