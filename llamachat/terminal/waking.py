"""What a model has computed of a chat: kept when the chat is left, taken over when it goes on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llamachat import __version__
from llamachat.errors import LlamaChatError, UsageError
from llamachat.session.prompt_cache import UnusableCache
from llamachat.session.snapshots import Snapshots
from llamachat.terminal.output import note

if TYPE_CHECKING:
    from llamachat.terminal.responder import Responder

EXACT = "exact"
"""What a snapshot calls `Context.n_reusable`: of a chat that outgrew its context some tokens know of forgotten ones."""

LOST = "lost"
"""The same of `Context.n_lost`: tokens that layers with a window do not keep any more."""

FEWEST = 256
"""Tokens from which it pays to keep them: fewer are read anew in no time."""


def settings_of(responder: "Responder") -> dict[str, str]:
    """What a kept cache must be of, to be used by this responder."""
    from llamachat.engine.gguf.fingerprint import fingerprint

    model = responder.model
    return {
        "model": fingerprint(model.file),
        "architecture": str(model.file.metadata.get("general.architecture")),
        "cache_layout": responder.context.layout,
        "program": __version__,
    }


def description_of(responder: "Responder") -> dict[str, str]:
    """The same, and what a reader of the file may want to know besides."""
    metadata = responder.model.file.metadata
    rope = {name.partition(".")[2]: value for name, value in metadata.items() if ".rope." in name}
    told = " ".join(f"{name}={value}" for name, value in rope.items() if isinstance(value, int | float | str))
    own = {"context": str(responder.context.n_ctx), "rope": told, "lora": "", LOST: str(responder.context.n_lost)}
    return {**settings_of(responder), **own}


def number_in(settings: Mapping[str, str], name: str) -> int | None:
    """A number that a kept cache says of itself; None where it says none."""
    told = str(settings.get(name))
    return int(told) if told.isdecimal() else None


def restore_snapshot(responder: "Responder", snapshots: Snapshots, chat: int) -> int:
    """Fills the responder's context with what is kept of the chat; how many tokens that are, 0 where nothing fits."""
    context = responder.context
    kept = snapshots.open(chat, settings_of(responder))
    if kept is None or len(kept.tokens) > context.n_ctx:
        return 0
    exact, lost = (number_in(kept.settings, name) for name in (EXACT, LOST))
    try:
        context.restore(kept.tokens, kept.fill, exact or 0, lost)
    except (UnusableCache, UsageError) as error:
        note(f"{error}; it is read anew")
        snapshots.drop(chat)
        return 0
    return len(kept.tokens)


def save_snapshot(responder: "Responder", snapshots: Snapshots, chat: int) -> None:
    """Keeps what the responder's context has computed of the chat; says so where that cannot be done."""
    context = responder.context
    n_tokens = len(context.tokens)
    if n_tokens < FEWEST or context.self_extend is not None:
        return
    told = {**description_of(responder), EXACT: str(context.n_reusable)}
    try:
        snapshots.keep(chat, context.tokens, context.memory(n_tokens), told)
    except LlamaChatError as error:
        note(str(error))
