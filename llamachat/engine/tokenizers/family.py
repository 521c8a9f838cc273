"""What the families of tokenizers have in common: a vocabulary, and a way to encode text without special tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod

from llamachat.engine.tokenizers.vocabulary import Kind, Vocabulary


class Family(ABC):
    """One family; `clean_spaces`: spaces before punctuation are taken out of detokenised texts."""

    clean_spaces = False
    adds_space = False
    strips_right = False

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @abstractmethod
    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens. after_special: it begins the text or follows a special token."""

    @abstractmethod
    def normal_piece(self, text: str) -> bytes:
        """What a normal token of that text prints."""

    def piece(self, token: int, special: bool) -> bytes:
        """What a token prints: control tokens nothing, unless `special`."""
        kind, text = self.vocabulary.kinds[token], self.vocabulary.texts[token]
        if kind in (Kind.CONTROL, Kind.UNKNOWN):
            return text.encode(errors="replace") if special else b""
        if kind == Kind.BYTE:
            return byte_of(text)
        if kind == Kind.USER_DEFINED:
            return self.user_piece(text)
        return b"" if kind == Kind.UNUSED and not special else self.normal_piece(text)

    def user_piece(self, text: str) -> bytes:
        """What a user-defined token prints: itself."""
        return text.encode(errors="replace")


def byte_of(text: str) -> bytes:
    """The byte of a token `<0x41>`; other texts stand for themselves."""
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        try:
            return bytes([int(text[3:5], 16)])
        except ValueError:
            pass
    return text.encode(errors="replace")
