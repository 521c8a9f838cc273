"""Settings of /set that are options of answers: samplers, stop texts, lengths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from llamachat.engine.answering import GenerationOptions
from llamachat.engine.sampling.names import DEFAULT_ORDER
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError
from llamachat.relations import opposites
from llamachat.terminal.commands.setting_values import (
    is_none,
    now_and_usual,
    number_of,
    one_of,
    quoted_word,
    switch_of,
    written,
)
from llamachat.terminal.escapes import unescaped

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

SEVERAL = ("logit_bias", "dry_sequence_breaker", "samplers")


@dataclass(frozen=True)
class Sampler:
    """A field of the sampling options."""

    name: str
    help: str
    type: Any
    single: bool
    usual: ClassVar[SamplingOptions] = SamplingOptions()

    def value(self, chat: "Chat") -> str:
        """What it is now, as it is written."""
        return written(getattr(chat.responder.options.sampling, self.name))

    def is_changed(self, chat: "Chat") -> bool:
        """Whether somebody chose the value."""
        return self.name in chat.responder.options.sampling.given

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """Raises UsageError for what it cannot be, and for a token that the model does not have."""
        value = self._parsed(words)
        self._make(chat, value, chat.responder.options.sampling.given | {self.name}, self.usual)

    def reset(self, chat: "Chat") -> None:
        """What the command line, the settings or the model say."""
        start = chat.start.options.sampling
        given = chat.responder.options.sampling.given - {self.name} | (start.given & {self.name})
        self._make(chat, getattr(start, self.name), given, start)

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        if self.name == "samplers":
            return [(one, "a sampler; several with ; between") for one in DEFAULT_ORDER]
        if self.type is bool:
            return [("on", ""), ("off", "")]
        return now_and_usual(self.value(chat), written(getattr(self.usual, self.name)))

    def _make(self, chat: "Chat", value: Any, given: frozenset[str], others: SamplingOptions) -> None:
        options = chat.responder.options
        made: dict[str, Any] = {self.name: value, "given": given}
        made |= {name: getattr(others, name) for name in opposites(self.name)}  # the later one counts
        sampling = replace(options.sampling, **made)
        for token, _ in sampling.logit_bias:
            if token >= chat.tokenizer.n_vocab:
                raise UsageError(f"logit_bias: there is no token {token}; the model has {chat.tokenizer.n_vocab}")
        chat.responder = replace(chat.responder, options=replace(options, sampling=sampling))

    def _parsed(self, words: Sequence[str]) -> Any:
        if self.name in SEVERAL:
            return () if is_none(words) else tuple(words)
        text = one_of(self.name, words)
        if self.type in (int, float):
            return number_of(self.name, text, self.type)
        if self.type is bool:
            return switch_of(self.name, text)
        return "" if is_none(words) else text


@dataclass(frozen=True)
class Stops:
    """The texts that end an answer, besides the template's own."""

    name: str
    help: str

    def value(self, chat: "Chat") -> str:
        """What they are now, as they are written."""
        return " ".join(map(quoted_word, self._own(chat))) or "none"

    def is_changed(self, chat: "Chat") -> bool:
        """Whether there are any."""
        return bool(self._own(chat))

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """The words are the texts; \\n in them is a line break. Raises UsageError for an empty one."""
        self._make(chat, () if is_none(words) else tuple(map(unescaped, words)))

    def reset(self, chat: "Chat") -> None:
        """What the command line or the settings say."""
        self._make(chat, _without(chat.start.options.stop, chat))

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What they may be, for completion."""
        return now_and_usual(self.value(chat), "none")

    def _own(self, chat: "Chat") -> tuple[str, ...]:
        return _without(chat.responder.options.stop, chat)

    def _make(self, chat: "Chat", texts: tuple[str, ...]) -> None:
        if "" in texts:
            raise UsageError("stop: an empty text would stop the model before its first word")
        stop = (*texts, *chat.conversation.template.end_texts)
        chat.responder = replace(chat.responder, options=replace(chat.responder.options, stop=stop))


def _without(stop: Sequence[str], chat: "Chat") -> tuple[str, ...]:
    """Without the texts by which the template itself ends an answer."""
    return tuple(text for text in stop if text not in chat.conversation.template.end_texts)


@dataclass(frozen=True)
class Length:
    """A number of tokens. field: of the generation options."""

    name: str
    help: str
    field: str
    usual: ClassVar[GenerationOptions] = GenerationOptions()

    def value(self, chat: "Chat") -> str:
        """What it is now, as it is written."""
        return written(getattr(chat.responder.options, self.field))

    def is_changed(self, chat: "Chat") -> bool:
        """Whether it is another than without anybody's choice."""
        return getattr(chat.responder.options, self.field) not in (getattr(self.usual, self.field), 0)

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """Raises UsageError for what it cannot be."""
        self._make(chat, number_of(self.name, one_of(self.name, words), int))

    def reset(self, chat: "Chat") -> None:
        """What the command line or the settings say."""
        self._make(chat, getattr(chat.start.options, self.field))

    def _make(self, chat: "Chat", value: Any) -> None:
        made: dict[str, Any] = {self.field: value}
        chat.responder = replace(chat.responder, options=replace(chat.responder.options, **made))

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        return now_and_usual(self.value(chat), written(getattr(self.usual, self.field)))
