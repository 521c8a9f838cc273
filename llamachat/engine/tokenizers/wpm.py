"""WordPiece (Devlin et al. 2018, arXiv 1810.04805) in GGUF files: U+2581 begins a word, nothing continues it."""

from __future__ import annotations

import unicodedata

from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, read_vocabulary

SPACE = "\u2581"
_MAX_WORD = 4096
_CONTROL_SPACES = "\t\n\v\f\r\x85"
_DROPPED = ("Cc", "Cf", "Co", "Cs")
_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPieces(Family):
    """`tokenizer.ggml.model` = bert. Every text gets [CLS] before and [SEP] after it."""

    clean_spaces = True

    def __init__(self, keys: Keys) -> None:
        defaults = Defaults(bos=101, unknown=100, separator=102, add_bos=True)
        super().__init__(read_vocabulary(keys, defaults))
        self._longest = min(_MAX_WORD, max(len(text) for text in self.vocabulary.texts))

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text: words one by one, each by its longest pieces."""
        return [token for word in words(text) for token in self._pieces(SPACE + word)]

    def normal_piece(self, text: str) -> bytes:
        """The text; a word begins with a space."""
        return text.replace(SPACE, " ").encode(errors="replace")

    def _pieces(self, word: str) -> list[int]:
        """The word's longest pieces from left to right, or the unknown token for the whole word."""
        ids, found, start = self.vocabulary.ids, [], 0
        while start < len(word):
            end = min(len(word), start + self._longest)
            while end > start and word[start:end] not in ids:
                end -= 1
            if end == start:
                return [] if self.vocabulary.unknown is None else [self.vocabulary.unknown]
            found.append(ids[word[start:end]])
            start = end
        return found


def words(text: str) -> list[str]:
    """Lower-case words without accents; punctuation and CJK characters are words of their own."""
    found: list[str] = []
    for written in text:
        # Only the base of a decomposition counts, also for Hangul: llama.cpp's table has one code point for each.
        character = unicodedata.normalize("NFD", written)[0]
        category = unicodedata.category(character)
        if character in _CONTROL_SPACES or category[0] == "Z":
            found.append(" ")
        elif character == "\ufffd" or category[0] == "M" or category in _DROPPED:
            continue
        elif _stands_alone(character, category):
            found.append(f" {character.lower()} ")
        else:
            found.append(character.lower())
    return [word for word in "".join(found).split(" ") if word]


def _stands_alone(character: str, category: str) -> bool:
    code = ord(character)
    symbol = code < 0x7F and category.startswith("S")
    return category.startswith("P") or symbol or any(first <= code <= last for first, last in _CJK)
