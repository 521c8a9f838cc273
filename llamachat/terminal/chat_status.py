"""The status line below the prompt: model, chat, grammar or tools, tokens in the context, speed."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from llamachat.engine.events import Timings
from llamachat.terminal.columns import shortened
from llamachat.terminal.sanitize import clean_line

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

LONGEST = 24
"""Columns of a model's or a chat's name."""

_DETAIL = re.compile(
    r"(-\d{5}-of-\d{5}|[-._](I?Q\d\w*|TQ\d\w*|MXFP4\w*|[BF]?F16|F32|UD|imat|gguf)|[-._](Instruct|Chat|it))+$", re.I
)
"""Parts of a file's name that are not the model's name: shard, quantisation, "Instruct"."""


def status_of(chat: "Chat") -> str:
    """The line, with what matters most first: a narrow terminal cuts its end."""
    return " · ".join(part for part in _parts(chat) if part)


def short_name(title: str) -> str:
    """The short name of a model, without control bytes."""
    name = clean_line(title)
    return shortened(_DETAIL.sub("", name) or name, LONGEST)


def _parts(chat: "Chat") -> Iterator[str]:
    yield short_name(chat.responder.model.title)
    yield _session(chat)
    yield _form(chat)
    yield f"{chat.n_tokens} of {chat.responder.context.n_ctx} tokens"
    timings = chat.current.timings if chat.current is not None else Timings()
    if timings.generation_s > 0 and timings.n_generated > 1:
        yield f"{(timings.n_generated - 1) / timings.generation_s:.0f} tokens/s"
    yield chat.conversation.template.name or ""


def _session(chat: "Chat") -> str:
    """Which chat this is, or that nothing is kept of it."""
    store, number = chat.conversation.store, chat.conversation.chat
    if not store.is_saved(number):
        return "not saved"
    name = store.summary(number).name
    return shortened(clean_line(name), LONGEST) if name else f"chat {number}"


def _form(chat: "Chat") -> str:
    """What constrains the answers: a grammar, a schema, tools."""
    grammar = chat.responder.options.grammar
    if grammar is None:
        return ""
    kind = getattr(grammar, "kind", "tools")  # the grammar of tools is none that a person gave
    if kind != "json-schema":
        return {"gbnf": "grammar"}.get(kind, kind)
    return "JSON" if getattr(grammar, "text", "").strip() == "{}" else "JSON schema"
