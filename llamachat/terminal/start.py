"""What the settings of a chat are before /set changes any: what the command line, the settings and the model say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llamachat.engine.answering import GenerationOptions

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat, ChatSettings


@dataclass(frozen=True)
class Start:
    """Options of answers, manner, and the context. typed: names of settings that the command line gives.

    all_options: by any of their names, as /set has it, all options that the command line can give.
    """

    options: GenerationOptions
    manner: "ChatSettings"
    n_ctx: int
    cache_types: Sequence[str]
    typed: frozenset[str] = field(default_factory=frozenset)
    all_options: Mapping[str, str] = field(default_factory=dict)


def start_of(chat: "Chat") -> Start:
    """The settings as they are now."""
    context = chat.responder.context
    return Start(chat.responder.options, chat.manner, context.n_ctx, context.cache_types)
