"""What /set shows and changes: the context, samplers, lengths, and how the chat behaves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, cast

from llamachat.engine.answering import GenerationOptions
from llamachat.engine.sampling.names import DEFAULT_ORDER
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError
from llamachat.terminal.commands.base import Command, saying

if TYPE_CHECKING:
    from llamachat.engine.context import CacheType
    from llamachat.terminal.chatting import Chat

SWITCH = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


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
        return written(getattr(chat.speaker.options.sampling, self.name))

    def is_made(self, chat: "Chat") -> bool:
        """Whether somebody chose the value."""
        return self.name in chat.speaker.options.sampling.given

    def change(self, chat: "Chat", text: str) -> None:
        """Raises UsageError for what it cannot be."""
        options = chat.speaker.options
        made: dict[str, Any] = {self.name: self._parsed(text), "given": options.sampling.given | {self.name}}
        chat.speaker = replace(chat.speaker, options=replace(options, sampling=replace(options.sampling, **made)))

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        if self.name == "samplers":
            return [(one, "a sampler; several with ; between") for one in DEFAULT_ORDER]
        if self.type is bool:
            return [("on", ""), ("off", "")]
        return _now_and_usual(self.value(chat), written(getattr(self.usual, self.name)))

    def _parsed(self, text: str) -> Any:
        if self.type in (int, float):
            return _number(self.name, text, self.type)
        if self.type is bool:
            if text.lower() not in SWITCH:
                raise UsageError(f"{self.name} is on or off, not {text!r}")
            return SWITCH[text.lower()]
        return text if self.single else tuple(text.split())


@dataclass(frozen=True)
class Length:
    """A number of tokens. field: of the generation options."""

    name: str
    help: str
    field: str
    usual: ClassVar[GenerationOptions] = GenerationOptions()

    def value(self, chat: "Chat") -> str:
        """What it is now, as it is written."""
        return written(getattr(chat.speaker.options, self.field))

    def is_made(self, chat: "Chat") -> bool:
        """Whether it is another than without anybody's choice."""
        return getattr(chat.speaker.options, self.field) not in (getattr(self.usual, self.field), 0)

    def change(self, chat: "Chat", text: str) -> None:
        """Raises UsageError for what it cannot be."""
        made: dict[str, Any] = {self.field: _number(self.name, text, int)}
        chat.speaker = replace(chat.speaker, options=replace(chat.speaker.options, **made))

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
        return str(getattr(chat.manner, self.name))

    def is_made(self, chat: "Chat") -> bool:
        """Whether it is another than without anybody's choice."""
        return self.value(chat) != self.words[0][0]

    def change(self, chat: "Chat", text: str) -> None:
        """Raises UsageError for what it cannot be."""
        known = [word for word, _ in self.words]
        if text.lower() not in known:
            raise UsageError(f"{self.name} is {', '.join(known[:-1])} or {known[-1]}, not {text!r}")
        made: dict[str, Any] = {self.name: text.lower()}
        chat.manner = replace(chat.manner, **made)

    def values(self, _chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        return self.words


@dataclass(frozen=True)
class ContextSize:
    """How many tokens the context holds. What was computed is taken over, as much as there is room for."""

    name: str
    help: str

    def value(self, chat: "Chat") -> str:
        """What it is now."""
        return str(chat.speaker.context.n_ctx)

    def is_made(self, _chat: "Chat") -> bool:
        """No matter: it is told beside the tokens that are used."""
        return False

    def change(self, chat: "Chat", text: str) -> None:
        """Raises UsageError for what it cannot be, NotEnoughMemory for too many."""
        _remember(chat, int(_number(self.name, text, int)), chat.speaker.context.cache_types)
        trained = chat.speaker.model.n_ctx_train
        if chat.speaker.context.n_ctx > trained:
            chat.say(f"(the model was trained with a context of {trained} tokens)")

    def values(self, chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        told = {str(chat.speaker.model.n_ctx_train): "the model's own", self.value(chat): "now"}
        return list(told.items())


@dataclass(frozen=True)
class CacheTypeOf:
    """A type of the cache, of keys (0) or values (1). What was said is read anew with it."""

    name: str
    help: str
    place: int

    def value(self, chat: "Chat") -> str:
        """What it is now."""
        return chat.speaker.context.cache_types[self.place]

    def is_made(self, chat: "Chat") -> bool:
        """Whether it is another than without anybody's choice."""
        return self.value(chat) != "f16"

    def change(self, chat: "Chat", text: str) -> None:
        """Raises UsageError for what it cannot be."""
        types = list(chat.speaker.context.cache_types)
        types[self.place] = text.lower()
        _remember(chat, chat.speaker.context.n_ctx, types)

    def values(self, _chat: "Chat") -> Iterable[tuple[str, str]]:
        """What it may be, for completion."""
        from llamachat.engine.runtime.cache import CACHE_TYPES

        return [(one, "") for one in CACHE_TYPES]


def _remember(chat: "Chat", n_ctx: int, types: Sequence[str]) -> None:
    """Goes on in another context."""
    before = chat.speaker.context
    key, value = cast("Sequence[CacheType]", types)
    context = chat.speaker.model.context(n_ctx, key, value, before.self_extend)
    context.take_over(before)
    chat.speaker = replace(chat.speaker, context=context)
    chat.conversation.remember(n_ctx)


Setting = Sampler | Length | Behaviour | ContextSize | CacheTypeOf

_ALL: tuple[Setting, ...] = (
    ContextSize("ctx_size", "tokens that the context holds"),
    CacheTypeOf("cache_type_k", "type of cached keys", 0),
    CacheTypeOf("cache_type_v", "type of cached values", 1),
    Length("n_predict", "tokens of an answer at most; -1 is no limit, -2 until the context is full", "max_tokens"),
    Length("keep", "tokens at the beginning that stay in a full context; -1 is the whole prompt", "n_keep"),
    Behaviour("on_full", "what happens when the context is full", (
        ("shift", "the oldest turns are forgotten"),
        ("summarize", "a summary of them is kept"),
        ("stop", "nothing more is read"),
    )),
    Behaviour("reasoning", "whether what the model thinks is shown (/think: whether it thinks)", (
        ("show", "dimmed, and one line in the end"),
        ("hide", "only the answer"),
    )),
    *(Sampler(item.name, item.metadata["help"], item.type, bool(item.metadata.get("single")))
      for item in fields(SamplingOptions) if "help" in item.metadata),
)  # fmt: skip

SETTINGS = {one.name: one for one in _ALL}

AT_THE_START = {
    "threads": "-t", "grp_attn_n": "--grp-attn-n", "grp_attn_w": "--grp-attn-w", "plain": "--plain", "vi": "--vi",
}  # fmt: skip
"""What cannot be changed while a chat goes on, and the option that sets it."""


def written(value: Any) -> str:
    """A value of a setting as a person reads it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ";".join(str(one) for one in value).replace("\n", "\\n") or "none"
    return "off" if value is None else str(value)


def _set(chat: "Chat", words: str) -> str:
    """Shows all settings, shows one, or changes one."""
    name, _, value = words.partition(" ")
    if not name:
        return "\n".join(f"{one.name:22}{one.value(chat)}" for one in SETTINGS.values())
    setting = _setting(name.replace("-", "_"))
    if not value:
        return f"{setting.name} is {setting.value(chat)}: {setting.help}"
    setting.change(chat, value.strip())
    return f"{setting.name} is {setting.value(chat)} from now on."


def _setting(name: str) -> Setting:
    if name in AT_THE_START:
        raise UsageError(f"{name} is set when llamachat starts: {AT_THE_START[name]}")
    if name not in SETTINGS:
        close = get_close_matches(name, SETTINGS, 1)
        raise UsageError(f"there is no setting {name!r}" + (f"; did you mean {close[0]}?" if close else ""))
    return SETTINGS[name]


def _number(name: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"{name} must be {'a whole number' if kind is int else 'a number'}, not {text!r}") from error


def _now_and_usual(now: str, usual: str) -> list[tuple[str, str]]:
    told = {now: "now", usual: "by default"}
    return [(value, when) for value, when in told.items() if value not in ("off", "none", "")]


def _names(chat: "Chat", text: str) -> list[tuple[str, str]]:
    """Names, and after one what it may be."""
    name, space, start = text.partition(" ")
    wanted = name.replace("-", "_")
    if not space:
        return [(one.name, one.help) for one in SETTINGS.values() if one.name.startswith(wanted)]
    found = SETTINGS[wanted].values(chat) if wanted in SETTINGS else ()
    return [(f"{name} {value}", told) for value, told in found if value.startswith(start)]


SET = Command("/set", "[NAME [VALUE]]", "show settings, or change one: /set temp 0.2", saying(_set), _names)
