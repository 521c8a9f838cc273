"""What /set can show and change: the context, samplers, lengths, stop texts, and how the chat behaves.

Each kind of setting is a record. `change` takes the words that a person typed and raises UsageError for what it cannot
be; `reset` puts back what the chat began with.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from llamachat.engine.answering import GenerationOptions
from llamachat.engine.sampling.names import DEFAULT_ORDER
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError
from llamachat.relations import opposites
from llamachat.terminal.escapes import unescaped

if TYPE_CHECKING:
    from llamachat.engine.state.cache_types import CacheType
    from llamachat.terminal.chatting import Chat

SWITCH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
NONE = ("none", "off")
"""Words that empty a setting of several values."""

SEVERAL = ("logit_bias", "dry_sequence_breaker", "samplers")
_WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')


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


def words_of(text: str) -> list[str]:
    """The words of a text; quotes keep blanks together."""
    return [found[1] or found[2] or found[3] or "" for found in _WORD.finditer(text)]


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
        return _now_and_usual(self.value(chat), written(getattr(self.usual, self.name)))

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
            return () if _is_none(words) else tuple(words)
        text = _one(self.name, words)
        if self.type in (int, float):
            return _number(self.name, text, self.type)
        if self.type is bool:
            return _switch(self.name, text)
        return "" if _is_none(words) else text


@dataclass(frozen=True)
class Stops:
    """The texts that end an answer, besides the template's own."""

    name: str
    help: str

    def value(self, chat: "Chat") -> str:
        """What they are now, as they are written."""
        return " ".join(map(_quoted, self._own(chat))) or "none"

    def is_changed(self, chat: "Chat") -> bool:
        """Whether there are any."""
        return bool(self._own(chat))

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """The words are the texts; \\n in them is a line break. Raises UsageError for an empty one."""
        self._make(chat, () if _is_none(words) else tuple(map(unescaped, words)))

    def reset(self, chat: "Chat") -> None:
        """What the command line or the settings say."""
        self._make(chat, _without(chat.start.options.stop, chat))

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What they may be, for completion."""
        return _now_and_usual(self.value(chat), "none")

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
        self._make(chat, _number(self.name, _one(self.name, words), int))

    def reset(self, chat: "Chat") -> None:
        """What the command line or the settings say."""
        self._make(chat, getattr(chat.start.options, self.field))

    def _make(self, chat: "Chat", value: Any) -> None:
        made: dict[str, Any] = {self.field: value}
        chat.responder = replace(chat.responder, options=replace(chat.responder.options, **made))

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        return _now_and_usual(self.value(chat), written(getattr(self.usual, self.field)))


@dataclass(frozen=True)
class Behaviour:
    """A word of the chat's manner. words: what it may be, and what that means."""

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
        text = _one(self.name, words).lower()
        if isinstance(getattr(chat.settings, self.name), bool):
            self._make(chat, _switch(self.name, text))
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


@dataclass(frozen=True)
class ContextSize:
    """How many tokens the context holds. What was computed is taken over, as much as there is room for."""

    name: str
    help: str

    def value(self, chat: "Chat") -> str:
        """What it is now."""
        return str(chat.responder.context.n_ctx)

    def is_changed(self, _chat: "Chat") -> bool:
        """No matter: /show has it beside the tokens that are used."""
        return False

    def reset(self, chat: "Chat") -> None:
        """The size that the chat began with."""
        _remember(chat, chat.start.n_ctx, chat.responder.context.cache_types)

    def change(self, chat: "Chat", words: Sequence[str]) -> None:
        """Raises UsageError for what it cannot be, NotEnoughMemory for too many."""
        _remember(chat, int(_number(self.name, _one(self.name, words), int)), chat.responder.context.cache_types)
        trained = chat.responder.model.n_ctx_train
        if chat.responder.context.n_ctx > trained:
            chat.say(f"(the model was trained with a context of {trained} tokens)")

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        found = {str(chat.responder.model.n_ctx_train): "the model's own", self.value(chat): "now"}
        return list(found.items())


@dataclass(frozen=True)
class CacheTypeOf:
    """A type of the cache, of keys (0) or values (1). What was said is read anew with it."""

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
        self._make(chat, _one(self.name, words).lower())

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


def written(value: Any) -> str:
    """A value of a setting as a person writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        parts = [f"{one[0]}{one[1]:+g}" if isinstance(one, tuple) else _quoted(one) for one in value]
        return (";" if value and all(one in DEFAULT_ORDER for one in value) else " ").join(parts) or "none"
    return "off" if value is None else str(value)


def _quoted(text: str) -> str:
    """A text as one word of /set."""
    spelled = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    if not any(c.isspace() or c in "\"'" for c in spelled):
        return spelled
    return f"'{spelled}'" if '"' in spelled else f'"{spelled}"'


def _is_none(words: Sequence[str]) -> bool:
    return len(words) == 1 and words[0].lower() in NONE


def _one(name: str, words: Sequence[str]) -> str:
    if len(words) != 1:
        raise UsageError(f"{name} takes one value, not {len(words)}")
    return words[0]


def _switch(name: str, text: str) -> bool:
    if text.lower() not in SWITCH:
        raise UsageError(f"{name} is on or off, not {text!r}")
    return SWITCH[text.lower()]


def _number(name: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"{name} must be {'a whole number' if kind is int else 'a number'}, not {text!r}") from error


def _now_and_usual(now: str, usual: str) -> list[tuple[str, str]]:
    found = {now: "now", usual: "by default"}
    return [(value, when) for value, when in found.items() if value not in ("off", "none", "")]
