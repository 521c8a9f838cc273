"""Settings of /set that say how a chat looks and behaves: a word of a few."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llamachat.errors import UsageError
from llamachat.terminal.commands.setting_values import one_of, switch_of, written

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat


@dataclass(frozen=True)
class Behaviour:
    """One of `ChatSettings`. words: its values and their meanings."""

    name: str
    help: str
    words: tuple[tuple[str, str], ...]

    def value(self, chat: "Chat") -> str:
        """What it is now."""
        return written(getattr(chat.settings, self.name))

    def is_changed(self, chat: "Chat") -> bool:
        """Whether it is another than without anybody's choice."""
        return self.value(chat) != self.words[0][0]

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """Raises UsageError for what it cannot be."""
        text = one_of(self.name, words).lower()
        if isinstance(getattr(chat.settings, self.name), bool):
            self._make(chat, switch_of(self.name, text))
            return
        known = [word for word, _ in self.words]
        if text not in known:
            raise UsageError(f"{self.name} is {', '.join(known[:-1])} or {known[-1]}, not {text!r}")
        self._make(chat, text)

    def reset(self, chat: "Chat") -> None:
        """What the command line or the settings say."""
        self._make(chat, getattr(chat.start.settings, self.name))

    def values(self, _chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        return self.words

    def _make(self, chat: "Chat", value: str | bool) -> None:
        made: dict[str, Any] = {self.name: value}
        chat.settings = replace(chat.settings, **made)
