"""What a context has computed of a chat: saved when the chat is left, restored when it is continued."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from llamachat import __version__
from llamachat.errors import LlamaChatError, UsageError
from llamachat.session.prompt_cache import UnusableCache
from llamachat.session.snapshots import Snapshots

if TYPE_CHECKING:
    from llamachat.dialogue.responder import Responder

EXACT = "exact"
"""A snapshot's name for `Context.n_reusable`: tokens whose KV equals a fresh prefill."""

LOST = "lost"
"""A snapshot's name for `Context.n_lost`: tokens that layers with a window do not keep any more."""

FEWEST = 256
"""Fewer tokens than this are not saved: evaluating them again takes no time."""

Tell = Callable[[str], None]
"""Shows a sentence of the program."""


def silent(sentence: str) -> None:
    """Shows it to nobody."""


def settings_of(responder: "Responder") -> dict[str, str]:
    """The settings that a saved cache must have to be used by this responder."""
    from llamachat.engine.gguf.fingerprint import fingerprint

    model = responder.model
    return {
        "model": fingerprint(model.file),
        "adapter": model.adapters.fingerprint,
        "override": str(model.overrides),
        "architecture": str(model.file.metadata.get("general.architecture")),
        "cache_layout": responder.context.layout,
        "program": __version__,
    }


def description_of(responder: "Responder") -> dict[str, str]:
    """The same settings, and more for a reader of the file."""
    metadata = responder.model.file.metadata
    rope = {name.partition(".")[2]: value for name, value in metadata.items() if ".rope." in name}
    listed = " ".join(f"{name}={value}" for name, value in rope.items() if isinstance(value, int | float | str))
    own = {
        "context": str(responder.context.n_ctx),
        "rope": listed,
        "lora": str(responder.model.adapters.asked),
        LOST: str(responder.context.n_lost),
    }
    return {**settings_of(responder), **own}


def number_in(settings: Mapping[str, str], name: str) -> int | None:
    """A number among the settings of a saved cache; None where it says none."""
    written = str(settings.get(name))
    return int(written) if written.isdecimal() else None


def restore_snapshot(responder: "Responder", snapshots: Snapshots, chat: int, tell: Tell = silent) -> int:
    """Fills the responder's context from the snapshot of a chat; the number of tokens, 0 if there is none that fits.

    An unusable snapshot is deleted, which `tell` is given as a sentence.
    """
    context = responder.context
    kept = snapshots.open(chat, settings_of(responder))
    if kept is None or len(kept.tokens) > context.n_ctx:
        return 0
    exact, lost = (number_in(kept.settings, name) for name in (EXACT, LOST))
    try:
        context.restore(kept.tokens, kept.fill, exact or 0, lost)
    except (UnusableCache, UsageError) as error:
        tell(f"{error}; it is read anew")
        snapshots.drop(chat)
        return 0
    return len(kept.tokens)


def save_snapshot(responder: "Responder", snapshots: Snapshots, chat: int, tell: Tell = silent) -> None:
    """Saves what the responder's context has computed of a chat; `tell` is given a sentence where that fails."""
    context = responder.context
    n_tokens = len(context.tokens)
    if n_tokens < FEWEST or context.self_extend is not None:
        return
    settings = {**description_of(responder), EXACT: str(context.n_reusable)}
    try:
        snapshots.keep(chat, context.tokens, context.memory(n_tokens), settings)
    except LlamaChatError as error:
        tell(str(error))
