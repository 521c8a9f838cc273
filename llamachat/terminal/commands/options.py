"""Commands that change how answers are made: samplers, lengths, the system message, grammars, thinking, the model."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llamachat.errors import UsageError
from llamachat.terminal.commands.base import Command, doing, has_own_grammar, saying
from llamachat.terminal.commands.set_command import apply_chosen
from llamachat.terminal.sanitize import clean_line

if TYPE_CHECKING:
    from llamachat.engine.grammar import GrammarSource, LazyGrammar
    from llamachat.terminal.chatting import Chat


def _system(chat: "Chat", words: str) -> str:
    if not words:
        return chat.conversation.system or "There is no system prompt; /system TEXT sets one."
    system = None if words.strip() == "-" else words
    chat.conversation.set(system=system)
    return "This is the system prompt from the next answer on." if system else "There is no system prompt from now on."


def _constrain(chat: "Chat", grammar: "GrammarSource | LazyGrammar | None") -> None:
    chat.responder = replace(chat.responder, options=replace(chat.responder.options, grammar=grammar))


def _grammar(chat: "Chat", words: str) -> str:
    if words in ("", "off"):
        _constrain(chat, chat.tools.grammar() if chat.tools is not None else None)
        return "Answers are free."
    from llamachat.engine.grammar import GrammarSource

    _constrain(chat, GrammarSource.gbnf(words, "/grammar"))
    return "Answers obey the grammar until /grammar off."


def _json(chat: "Chat", words: str) -> str:
    if words == "off":
        return _grammar(chat, "off")
    from llamachat.engine.grammar import GrammarSource

    _constrain(chat, GrammarSource.json_schema(words or "{}", "/json"))
    return "Answers are JSON until /json off."


def _think(chat: "Chat", words: str) -> str:
    if words not in ("on", "off"):
        raise UsageError("/think needs on or off")
    template = chat.conversation.template.with_variables(enable_thinking=words == "on")
    chat.conversation.template = template
    if "enable_thinking" not in template.source:
        return f"This chat template has no switch for thinking: /think {words} changes nothing with it."
    return f"Thinking is {words}."


def _model(chat: "Chat", words: str) -> None:
    """Another model continues the chat."""
    if not words:
        chat.say(f"{chat.responder.model.title}; /model NAME continues with another one.")
        return
    if chat.open_model is None:
        raise UsageError("the model cannot be changed here")
    before, responder = chat.responder, chat.open_model(words)
    template = responder.template
    assert template is not None
    options = replace(responder.options, grammar=before.options.grammar)
    if chat.tools is not None:
        try:
            tools = replace(chat.tools, template=template.source)
        except UsageError:
            responder.model.close()
            raise
        if options.grammar is not None and not has_own_grammar(options):
            options = replace(options, grammar=tools.grammar())
        chat.tools = tools
    chat.responder = replace(responder, options=options)
    before.model.close()
    chat.conversation.tokenizer, chat.conversation.template = responder.model.tokenizer, template
    chat.conversation.remember(responder.context.n_ctx)
    chat.conversation.store.set_model(chat.conversation.chat, responder.model.title)
    chat.last = None
    context = responder.context
    chat.start = replace(chat.start, options=options, n_ctx=context.n_ctx, cache_types=context.cache_types)
    chat.say(f"{responder.model.title} continues from here.")
    apply_chosen(chat)


def _models(_chat: "Chat", text: str) -> list[tuple[str, str]]:
    from llamachat.catalog import discover

    return [(one.name, one.type) for one in discover() if one.name.startswith(text)]


def _list_models(chat: "Chat", _words: str) -> str:
    from llamachat.catalog import discover
    from llamachat.engine.memory import size_text

    found = sorted({one.name: one for one in discover()}.values(), key=lambda one: one.name)
    rows = [
        clean_line(f"{one.name}, {one.type}, {size_text(one.n_bytes)}")
        + (" (this one)" if one.name == chat.responder.model.title else "")
        for one in found
    ]
    if not rows:
        return "There are no models here yet; `llamachat pull` fetches one."
    return "\n".join([*rows, "/model NAME continues with one of them."])


def _words(*known: str) -> Any:
    return lambda _chat, text: [(one, "") for one in known if one.startswith(text)]


COMMANDS = (
    Command("/system", "[TEXT]", "show or change the system prompt; - for none", saying(_system)),
    Command("/grammar", "[GBNF|NAME|off]", "keep answers inside a grammar", saying(_grammar), _words("off", "json")),
    Command("/json", "[SCHEMA|off]", "answers are JSON, of a schema if one is given", saying(_json), _words("off")),
    Command("/think", "on|off", "whether the model thinks before it answers", saying(_think), _words("on", "off")),
    Command("/models", "", "the models that are on this machine", saying(_list_models)),
    Command("/model", "[NAME]", "continue with another model", doing(_model), _models),
)
