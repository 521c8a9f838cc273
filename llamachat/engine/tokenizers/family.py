"""What the families of tokenizers have in common: a vocabulary, and a way to encode text without special tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

from llamachat.engine.tokenizers.vocabulary import Kind, Vocabulary
from llamachat.engine.tokenizers.words import SPACE


class Family(ABC):
    """One family; `clean_spaces`: spaces before punctuation are taken out of detokenised texts."""

    clean_spaces = False
    adds_space = False
    closing: int | None = None
    """The token after every text, besides the end of sequence."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def at_least(self, text: str) -> int:
        """How many tokens a text without special ones has at least; 0 where a token may stand for any text."""
        return 0

    @abstractmethod
    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens. after_special: it begins the text or follows a special token."""

    def normal_piece(self, text: str) -> bytes:
        """What a normal token of that text prints: here the text with its spaces."""
        return text.replace(SPACE, " ").encode(errors="replace")

    def piece(self, token: int, special: bool) -> bytes:
        """What a token prints: control and unknown tokens nothing, unless `special`; unused ones never anything."""
        kind, text = int(self.vocabulary.kinds[token]), self.vocabulary.texts[token]
        if kind in (Kind.CONTROL, Kind.UNKNOWN):
            return text.encode(errors="replace") if special else b""
        if kind == Kind.BYTE:
            return byte_of(text)
        if kind == Kind.USER_DEFINED:
            return text.encode(errors="replace")
        return self.normal_piece(text) if kind == Kind.NORMAL else b""

    @cached_property
    def byte_tokens(self) -> dict[int, int]:
        """byte -> token `<0x41>`; bytes that have none are missing."""
        ids = self.vocabulary.plain_ids
        named = ((byte, ids.get(f"<0x{byte:02X}>")) for byte in range(256))
        return {byte: token for byte, token in named if token is not None}

    def byte_ids(self, text: str) -> list[int]:
        """The tokens of a text's bytes; bytes without one are left out."""
        return [self.byte_tokens[byte] for byte in text.encode(errors="replace") if byte in self.byte_tokens]


def byte_of(text: str) -> bytes:
    """The byte of a token `<0x41>`; other texts stand for themselves."""
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        try:
            return bytes([int(text[3:5], 16)])
        except ValueError:
            pass
    return text.encode(errors="replace")
