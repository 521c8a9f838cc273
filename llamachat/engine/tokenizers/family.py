"""What the families of tokenizers have in common: a vocabulary, and a way to encode text without special tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod

from llamachat.engine.tokenizers.vocabulary import Kind, Vocabulary


class Family(ABC):
    """One family; `clean_spaces`: spaces before punctuation are taken out of detokenised texts."""

    clean_spaces = False
    adds_space = False

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def at_least(self, text: str) -> int:
        """How many tokens a text without special ones has at least; 0 where a token may stand for any text."""
        return 0

    @abstractmethod
    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens. after_special: it begins the text or follows a special token."""

    @abstractmethod
    def normal_piece(self, text: str) -> bytes:
        """What a normal token of that text prints."""

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


def byte_of(text: str) -> bytes:
    """The byte of a token `<0x41>`; other texts stand for themselves."""
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        try:
            return bytes([int(text[3:5], 16)])
        except ValueError:
            pass
    return text.encode(errors="replace")
