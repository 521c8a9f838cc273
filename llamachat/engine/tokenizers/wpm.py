"""WordPiece (Devlin et al. 2018, arXiv 1810.04805) in GGUF files: U+2581 begins a word, nothing continues it."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, read_vocabulary
from llamachat.engine.tokenizers.words import SPACE, KeptPieces

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
        vocabulary = read_vocabulary(keys, Defaults(bos=101, unknown=100, separator=102, add_bos=True))
        super().__init__(replace(vocabulary, add_bos=vocabulary.bos is not None, add_eos=False))
        self.closing = vocabulary.separator
        self._lengths = sorted({len(text) for text in self.vocabulary.texts}, reverse=True)
        lower = keys.flag("normalizer.lowercase", True)
        self._written = Written(lower, keys.flag("normalizer.strip_accents", lower))
        self._kept = KeptPieces(self._word)

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text: words one by one, each by its longest pieces."""
        return self._kept.encode(self._written.words(text))

    def _word(self, word: str) -> list[int]:
        """The word's longest pieces from left to right, or the unknown token for the whole word."""
        ids, found, start, word = self.vocabulary.ids, [], 0, SPACE + word
        while start < len(word):
            for length in self._lengths:
                if (token := ids.get(word[start : start + length])) is not None and start + length <= len(word):
                    break
            else:
                return [] if self.vocabulary.unknown is None else [self.vocabulary.unknown]
            found.append(token)
            start += length
        return found


class Written(dict[int, str]):
    """Code point -> how it is written before a text is cut at its spaces, filled by the texts that come.

    Lower-case words without accents, if wanted; punctuation and CJK characters are words of their own.
    """

    def __init__(self, lower: bool = True, strips_accents: bool = True) -> None:
        super().__init__()
        self._lower, self._strips_accents = lower, strips_accents

    def words(self, text: str) -> list[str]:
        """The words of a text."""
        return [word for word in text.translate(self).split(" ") if word]

    def __missing__(self, code: int) -> str:
        self[code] = self._of(chr(code))
        return self[code]

    def _of(self, written: str) -> str:
        # Only the base of a decomposition counts, also for Hangul: llama.cpp's table has one code point for each.
        character = unicodedata.normalize("NFD", written)[0] if self._strips_accents else written
        category = unicodedata.category(character)
        if character in _CONTROL_SPACES or category[0] == "Z":
            return " "
        if character == "\ufffd" or category in _DROPPED or (self._strips_accents and category[0] == "M"):
            return ""
        lower = character.lower() if self._lower else character
        return f" {lower} " if _stands_alone(character, category) else lower


def _stands_alone(character: str, category: str) -> bool:
    code = ord(character)
    symbol = code < 0x7F and category.startswith("S")
    return category.startswith("P") or symbol or any(first <= code <= last for first, last in _CJK)
