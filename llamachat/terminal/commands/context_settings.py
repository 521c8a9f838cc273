"""Settings of /set that need another context: its size, the types of its cache."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from llamachat.terminal.commands.setting_values import number_of, one_of

if TYPE_CHECKING:
    from llamachat.engine.state.cache_types import CacheType
    from llamachat.terminal.chatting import Chat


@dataclass(frozen=True)
class ContextSize:
    """How many tokens the context holds. What was computed is taken over, as much as there is room for."""

    name: str
    help: str

    def value(self, chat: "Chat") -> str:
        """What it is now."""
        return str(chat.responder.context.n_ctx)

    def is_changed(self, _chat: "Chat") -> bool:
        """Never: /show has it beside the tokens that are used."""
        return False

    def reset(self, chat: "Chat") -> None:
        """The size that the chat began with."""
        _remember(chat, chat.start.n_ctx, chat.responder.context.cache_types)

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """Raises UsageError for what it cannot be, NotEnoughMemory for too many."""
        _remember(chat, int(number_of(self.name, one_of(self.name, words), int)), chat.responder.context.cache_types)
        trained = chat.responder.model.n_ctx_train
        if chat.responder.context.n_ctx > trained:
            chat.say(f"(the model was trained with a context of {trained} tokens)")

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        found = {str(chat.responder.model.n_ctx_train): "the model's own", self.value(chat): "now"}
        return list(found.items())


@dataclass(frozen=True)
class CacheTypeOf:
    """A type of the cache, of keys (0) or values (1). A change evaluates the chat again."""

    name: str
    help: str
    place: int

    def value(self, chat: "Chat") -> str:
        """What it is now."""
        return chat.responder.context.cache_types[self.place]

    def is_changed(self, chat: "Chat") -> bool:
        """Whether it is another than without anybody's choice."""
        return self.value(chat) != "f16"

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """Raises UsageError for what it cannot be."""
        self._make(chat, one_of(self.name, words).lower())

    def reset(self, chat: "Chat") -> None:
        """The type that the chat began with."""
        self._make(chat, chat.start.cache_types[self.place])

    def _make(self, chat: "Chat", name: str) -> None:
        types: list[str] = [*chat.responder.context.cache_types]
        types[self.place] = name
        _remember(chat, chat.responder.context.n_ctx, types)

    def values(self, _chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        from llamachat.engine.state.cache_types import CACHE_TYPES

        return [(one, "") for one in CACHE_TYPES]


def _remember(chat: "Chat", n_ctx: int, types: Sequence[str]) -> None:
    """Continues in another context, unless it is the same."""
    before = chat.responder.context
    if (n_ctx, tuple(types)) == (before.n_ctx, tuple(before.cache_types)):
        return
    key, value = cast("Sequence[CacheType]", types)
    context = chat.responder.model.context(n_ctx, key, value, before.self_extend)
    context.take_over(before)
    chat.responder = replace(chat.responder, context=context)
    chat.conversation.remember(n_ctx)
