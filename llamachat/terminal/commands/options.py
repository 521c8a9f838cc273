"""Commands that change how answers are made: samplers, lengths, the system message, grammars, thinking, the model."""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from llamachat.engine.answering import GenerationOptions
from llamachat.engine.grammar import GrammarSource, LazyGrammar
from llamachat.engine.sampling.names import DEFAULT_ORDER
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError
from llamachat.terminal.commands.base import Command, doing, saying

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

SAMPLING = {item.name: item for item in fields(SamplingOptions) if "help" in item.metadata}
LENGTHS = {
    "n_predict": ("max_tokens", "tokens of an answer at most; -1 is no limit, -2 until the context is full"),
    "keep": ("n_keep", "tokens at the beginning that stay in a full context; -1 is the whole prompt"),
}


def _set(chat: "Chat", words: str) -> str:
    """Shows all settings, shows one, or changes one."""
    options = chat.speaker.options
    name, _, value = words.partition(" ")
    name = name.replace("-", "_")
    if not name:
        return "\n".join(f"{one:22}{shown(options, one)}" for one in [*LENGTHS, *SAMPLING])
    if name not in SAMPLING and name not in LENGTHS:
        from difflib import get_close_matches

        close = get_close_matches(name, [*SAMPLING, *LENGTHS], 1)
        raise UsageError(f"there is no setting {name!r}" + (f"; did you mean {close[0]}?" if close else ""))
    if not value:
        explained = SAMPLING[name].metadata["help"] if name in SAMPLING else LENGTHS[name][1]
        return f"{name} is {shown(options, name)}: {explained}"
    changed = _changed(options, name, value.strip())
    chat.speaker = replace(chat.speaker, options=changed)
    return f"{name} is {shown(changed, name)} from now on."


def _changed(options: GenerationOptions, name: str, value: str) -> GenerationOptions:
    if name in LENGTHS:
        changes: dict[str, Any] = {LENGTHS[name][0]: _number(name, value, int)}
        return replace(options, **changes)
    sampling = options.sampling
    given = sampling.given | {name}
    return replace(options, sampling=replace(sampling, **{name: _parsed(name, value)}, given=given))


def _parsed(name: str, value: str) -> Any:
    kind = SAMPLING[name].type
    if kind in (int, float):
        return _number(name, value, kind)
    if kind is bool:
        words = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
        if value.lower() not in words:
            raise UsageError(f"{name} is on or off, not {value!r}")
        return words[value.lower()]
    return value if SAMPLING[name].metadata.get("single") else tuple(value.split())


def _number(name: str, value: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(value)
    except ValueError as error:
        raise UsageError(f"{name} must be {'a whole number' if kind is int else 'a number'}, not {value!r}") from error


def shown(options: GenerationOptions, name: str) -> str:
    """A setting as it is written."""
    value = getattr(options, LENGTHS[name][0]) if name in LENGTHS else getattr(options.sampling, name)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ";".join(str(one) for one in value).replace("\n", "\\n") or "none"
    return "off" if value is None else str(value)


def _names(chat: "Chat", text: str) -> list[tuple[str, str]]:
    """Names, and after one what it may be: its present value and what it would be if nobody had set it."""
    name, space, start = text.partition(" ")
    if space:
        return [(f"{name} {value}", told) for value, told in _values(chat, name) if value.startswith(start)]
    explained = {one: item.metadata["help"] for one, item in SAMPLING.items()} | {k: v[1] for k, v in LENGTHS.items()}
    return [(one, told) for one, told in explained.items() if one.startswith(name.replace("-", "_"))]


def _values(chat: "Chat", name: str) -> list[tuple[str, str]]:
    name = name.replace("-", "_")
    if name == "samplers":
        return [(one, "a sampler; several with ; between") for one in DEFAULT_ORDER]
    if name not in SAMPLING and name not in LENGTHS:
        return []
    if name in SAMPLING and SAMPLING[name].type is bool:
        return [("on", ""), ("off", "")]
    values = {shown(chat.speaker.options, name): "now", shown(GenerationOptions(), name): "by default"}
    return [(value, told) for value, told in values.items() if value not in ("off", "none", "")]


def _system(chat: "Chat", words: str) -> str:
    if not words:
        return chat.conversation.system or "The model was told nothing before; /system TEXT tells it something."
    told = None if words.strip() == "-" else words
    chat.conversation.set(system=told)
    return "The model is told that from the next answer on." if told else "The model is told nothing from now on."


def _constrain(chat: "Chat", grammar: GrammarSource | LazyGrammar | None) -> None:
    chat.speaker = replace(chat.speaker, options=replace(chat.speaker.options, grammar=grammar))


def _grammar(chat: "Chat", words: str) -> str:
    if words in ("", "off"):
        _constrain(chat, chat.tools.grammar() if chat.tools is not None else None)
        return "Answers are free."
    _constrain(chat, GrammarSource.gbnf(words, "/grammar"))
    return "Answers obey the grammar until /grammar off."


def _json(chat: "Chat", words: str) -> str:
    if words == "off":
        return _grammar(chat, "off")
    _constrain(chat, GrammarSource.json_schema(words or "{}", "/json"))
    return "Answers are JSON until /json off."


def _think(chat: "Chat", words: str) -> str:
    if words not in ("on", "off"):
        raise UsageError("/think needs on or off")
    template = chat.conversation.template.with_variables(enable_thinking=words == "on")
    chat.conversation.template = template
    return f"Thinking is {words}, where the template knows of it."


def _model(chat: "Chat", words: str) -> None:
    """Another model goes on with the talk."""
    if not words:
        chat.say(f"{chat.speaker.model.title}; /model NAME goes on with another one.")
        return
    if chat.open_model is None:
        raise UsageError("the model cannot be changed here")
    before, speaker = chat.speaker, chat.open_model(words)
    template = speaker.template
    assert template is not None
    options = _taken_over(before.options, speaker.options)
    if chat.tools is not None:
        try:
            tools = replace(chat.tools, template=template.source)
        except UsageError:
            speaker.model.close()
            raise
        if options.grammar is not None and not isinstance(options.grammar, GrammarSource):
            options = replace(options, grammar=tools.grammar())
        chat.tools = tools
    chat.speaker = replace(speaker, options=options)
    before.model.close()
    chat.conversation.tokenizer, chat.conversation.template = speaker.model.tokenizer, template
    chat.conversation.store.set_model(chat.conversation.chat, speaker.model.title)
    chat.last = None
    chat.say(f"{speaker.model.title} goes on from here.")


def _taken_over(before: GenerationOptions, fresh: GenerationOptions) -> GenerationOptions:
    """The settings that were made, with the new model's own for the others."""
    given = before.sampling.given
    made: dict[str, Any] = {name: getattr(before.sampling, name) for name in given if name in SAMPLING}
    return replace(before, stop=fresh.stop, sampling=replace(fresh.sampling, **made, given=given))


def _models(_chat: "Chat", text: str) -> list[tuple[str, str]]:
    from llamachat.catalog import discover

    return [(one.name, one.type) for one in discover() if one.name.startswith(text)]


def _words(*known: str) -> Any:
    return lambda _chat, text: [(one, "") for one in known if one.startswith(text)]


COMMANDS = (
    Command("/set", "[NAME [VALUE]]", "show settings, or change one: /set temp 0.2", saying(_set), _names),
    Command("/system", "[TEXT]", "show or change what the model is told before; - for nothing", saying(_system)),
    Command("/grammar", "[GBNF|NAME|off]", "keep answers inside a grammar", saying(_grammar), _words("off", "json")),
    Command("/json", "[SCHEMA|off]", "answers are JSON, of a schema if one is given", saying(_json), _words("off")),
    Command("/think", "on|off", "whether the model thinks before it answers", saying(_think), _words("on", "off")),
    Command("/model", "[NAME]", "go on with another model", doing(_model), _models),
)
