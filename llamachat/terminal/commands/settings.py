"""What /set can show and change: the context, samplers, lengths, stop texts, and how the chat behaves.

Each kind of setting is a record. `change` takes the words that a person typed and raises UsageError for what it cannot
be; `reset` puts back what the chat began with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Protocol

from llamachat.engine.sampling.options import SamplingOptions
from llamachat.terminal.commands.answer_settings import Length, Sampler, Stops
from llamachat.terminal.commands.chat_behaviour import Behaviour
from llamachat.terminal.commands.context_settings import CacheTypeOf, ContextSize

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat


class Setting(Protocol):
    """What all kinds of settings can do."""

    @property
    def name(self) -> str:
        """As it is typed."""
        ...

    @property
    def help(self) -> str:
        """What it does, in a few words."""
        ...

    def value(self, chat: "Chat") -> str:
        """What it is now, as a person writes it."""
        ...

    def is_changed(self, chat: "Chat") -> bool:
        """Whether it is another than without anybody's choice."""
        ...

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """Makes it what the words say, one or more. Raises UsageError."""
        ...

    def reset(self, chat: "Chat") -> None:
        """Puts back what the chat began with."""
        ...

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion, and what that means."""
        ...


_ALL: tuple[Setting, ...] = (
    ContextSize("ctx_size", "tokens that the context holds"),
    CacheTypeOf("cache_type_k", "type of cached keys", 0),
    CacheTypeOf("cache_type_v", "type of cached values", 1),
    Length("n_predict", "tokens of an answer at most; -1 is no limit, -2 until the context is full", "max_tokens"),
    Length("keep", "tokens at the beginning that stay in a full context; -1 is the whole prompt", "n_keep"),
    Stops("stop", 'texts that end an answer, as "END OF" STOP; \\n is a line break'),
    Behaviour("on_full", "what happens when the context is full", (
        ("shift", "the oldest turns are forgotten"),
        ("summarize", "a summary of them is kept"),
        ("stop", "nothing more is read"),
    )),
    Behaviour("reasoning", "whether what the model thinks is shown (/think: whether it thinks)", (
        ("show", "dimmed, and one line in the end"),
        ("hide", "only the answer"),
    )),
    Behaviour("plain", "answers as raw text, without Markdown", (("off", ""), ("on", ""))),
    Behaviour("verbose", "how fast each answer was is said below it", (("off", ""), ("on", ""))),
    *(Sampler(item.name, item.metadata["help"], item.type, bool(item.metadata.get("single")))
      for item in fields(SamplingOptions) if "help" in item.metadata),
)  # fmt: skip

SETTINGS: dict[str, Setting] = {one.name: one for one in _ALL}
