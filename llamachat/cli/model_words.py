"""Finds a model given where a text belongs."""

import os

from llamachat.errors import LlamaChatError, UsageError

ADDRESSES = ("hf:", "http://", "https://")


def is_model(word: str) -> bool:
    """Whether the word is the name of a model, a model file, or the address of one."""
    if any(character.isspace() for character in word):
        return False
    if word.startswith(ADDRESSES) or word.lower().endswith(".gguf"):
        return True
    from llamachat.catalog.known import KNOWN  # what a right command line does without
    from llamachat.catalog.places import locate

    if word.lower() in KNOWN:
        return True
    try:
        return any(word in (model.name, model.path.name) for model in locate())
    except (LlamaChatError, OSError):
        return False


def check_text(word: str | None, option: str = "-p") -> None:
    """Raises UsageError where a text is rather a model, whose option has been left out."""
    if word is not None and is_model(word):
        raise UsageError(f"{os.path.basename(word)} is a model: give it as -m {word}; as a text it is {option} {word}")
