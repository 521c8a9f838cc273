"""Completions and the history of inputs in the form that prompt_toolkit needs."""

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as Shown
from prompt_toolkit.document import Document
from prompt_toolkit.history import History

from llamachat.session.history import InputHistory
from llamachat.terminal.commands.base import Completion
from llamachat.terminal.sanitize import clean, clean_line

REMEMBERED = 100_000
"""Characters; longer inputs are forgotten with the chat, because the history is read when one begins."""


class ChatCompleter(Completer):
    """Completions before the cursor. Names with control characters are left out."""

    def __init__(self, complete: Callable[[str], Iterable[Completion]]) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Shown]:
        """The completions, as prompt_toolkit asks for them."""
        try:
            found = list(self._complete(document.text_before_cursor))
        except Exception:  # whatever goes wrong, the person continues to type: prompt_toolkit would show a traceback
            return
        for one in found:
            if "\n" not in one.text and clean(one.text) == one.text:
                yield Shown(one.text, -one.start, display_meta=clean_line(one.help))


class LastingHistory(History):
    """The history that other runs have written, and will read. literal: those inputs that are messages as they are."""

    def __init__(self, history: InputHistory, meant: Callable[[str], tuple[str, bool]]) -> None:
        """meant: the whole of an input that is in the line now, and whether it is a message as it is."""
        super().__init__()
        self._history, self._meant = history, meant
        self.literal: set[str] = set()

    def load_history_strings(self) -> Iterable[str]:
        """What was typed before, the latest first."""
        typed = self._history.load()
        self.literal |= self._history.literal
        return reversed(typed)

    def append_string(self, string: str) -> None:
        """Remembers the input that is in the line."""
        whole, literal = self._meant(string)
        if literal:
            self.literal.add(whole)
        else:
            self.literal.discard(whole)
        super().append_string(whole)

    def store_string(self, string: str) -> None:
        """Remembers an input for other runs."""
        if string.strip() and len(string) <= REMEMBERED:
            self._history.append(string, string in self.literal)
