"""Commands that change nothing: settings, tokens, the rendered prompt, figures of the last answer."""

from dataclasses import replace
from typing import TYPE_CHECKING

from llamachat.engine.events import Timings
from llamachat.errors import UsageError
from llamachat.terminal import statistics
from llamachat.terminal.commands.base import Command, has_own_grammar, saying
from llamachat.terminal.commands.settings import SETTINGS
from llamachat.terminal.sanitize import clean_line

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat


KEPT = ("n_prompt", "n_known", "prompt_s", "n_generated", "generation_s")
"""Figures of an answer that are kept with it."""


def _show(chat: "Chat", _words: str) -> str:
    """Model, context, template, chat and settings as they are now."""
    model, context = chat.responder.model, chat.responder.context
    n_messages = len(chat.conversation.path())
    summary = chat.conversation.store.summary(chat.conversation.chat)
    template = chat.conversation.template
    n_others = summary.n_messages - n_messages
    others = f", {n_others} more in other branches (/branches)" if n_others > 0 else ""
    rows = [
        ("model", f"{model.title}, {model.file.metadata.get('general.architecture', '')}"),
        *([("adapters", clean_line(str(model.adapters.asked)))] if model.adapters.asked.active else []),
        ("context", f"{chat.n_tokens} of {context.n_ctx} tokens"),
        ("template", template.name or "the model's own"),
        ("chat", f"{summary.id}{f' ({summary.name})' if summary.name else ''}, {n_messages} messages{others}"),
        ("system", chat.conversation.system or "none"),
        ("settings", _settings(chat)),
        ("when full", _when_full(chat)),
    ]
    return "\n".join(f"{name:11}{value}" for name, value in rows)


def _settings(chat: "Chat") -> str:
    """Those that were made; on_full has a row of its own."""
    made = [
        f"{one.name} {one.value(chat)}" for one in SETTINGS.values() if one.is_changed(chat) and one.name != "on_full"
    ]
    if has_own_grammar(chat.responder.options):
        made.append("a grammar")
    return ", ".join(made) or "the usual ones"


def _when_full(chat: "Chat") -> str:
    conversation, on_full = chat.conversation, chat.settings.on_full
    if not conversation.forgotten:
        return on_full
    kept = f", of which it knows: {conversation.summary}" if conversation.summary else ""
    return f"{on_full}; the first {conversation.forgotten} messages are forgotten{kept}"


def _stats(chat: "Chat", _words: str) -> str:
    if chat.current is not None:
        timings = replace(chat.current.timings, n_past=chat.n_tokens)
        return statistics.report(timings, chat.responder.load_s, chat.responder.context.n_ctx)
    path = chat.conversation.path()
    if not path or path[-1].role != "assistant":
        raise UsageError("there is no answer yet")
    kept = {name: path[-1].extra.get(name) for name in KEPT}
    if not all(isinstance(value, int | float) for value in kept.values()):
        raise UsageError("the figures of this answer were not kept")
    return f"When it was given: {statistics.line(Timings(**kept))}"  # type: ignore[arg-type]


def _tokens(chat: "Chat", words: str) -> str:
    """The tokens of a text, or how many the chat has."""
    if not words:
        return f"The chat has {len(chat.conversation.tokens())} of {chat.responder.context.n_ctx} tokens."
    ids = chat.tokenizer.encode(words, add_special=False)
    pieces = [chat.tokenizer.piece_bytes(token).decode("utf-8", "replace") for token in ids]
    listed = " ".join(f"{token}:{piece!r}" for token, piece in zip(ids, pieces, strict=True))
    return f"{len(ids)} tokens: {listed}"


def _template(chat: "Chat", _words: str) -> str:
    """The chat as the template renders it, with control tokens spelled out."""
    pieces = [chat.tokenizer.piece_bytes(token, special=True) for token in chat.conversation.tokens()]
    return b"".join(pieces).decode("utf-8", "replace")


COMMANDS = (
    Command("/show", "", "model, context, template, chat, settings", saying(_show)),
    Command("/stats", "", "how fast the last answer was", saying(_stats)),
    Command("/tokens", "[TEXT]", "the tokens of a text, or how many the chat has", saying(_tokens)),
    Command("/template", "", "what the model really reads", saying(_template)),
)
