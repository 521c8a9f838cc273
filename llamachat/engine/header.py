"""What the header of a model's file says without its weights: metadata, vocabulary, chat templates."""

from __future__ import annotations

from pathlib import Path

from llamachat.engine.gguf import GgufFile, open_gguf, typed
from llamachat.engine.overrides import NOTHING, Overrides
from llamachat.engine.tokenizers import Tokenizer

CHAT_TEMPLATE = "tokenizer.chat_template"
TOOL_TEMPLATE = f"{CHAT_TEMPLATE}.tool_use"


class Templates:
    """The chat templates of a file."""

    file: GgufFile

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the file's chat template. Raises ModelFileError where it is no text."""
        return chat_template_of(self.file)

    @property
    def tool_template(self) -> str | None:
        """The file's chat template for chats with tools, where it has one of its own. Raises as `chat_template`."""
        return chat_template_of(self.file, TOOL_TEMPLATE)


class Header(Templates):
    """A model's file of which only the header is read. Raises ModelFileError, and UsageError for overrides."""

    def __init__(self, path: Path, overrides: Overrides = NOTHING) -> None:
        self.file = overrides.apply(open_gguf(path))
        self.tokenizer = Tokenizer.from_metadata(self.file.metadata)


def chat_template_of(file: GgufFile, key: str = CHAT_TEMPLATE) -> str | None:
    """The Jinja source of a file's chat template. Raises ModelFileError where it is no text."""
    return typed(file.metadata, key, str, "a text", "") if key in file.metadata else None
