"""The tokenizer of a GGUF file: special tokens, what is added at the borders, and the family that does the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from llamachat.engine.gguf import open_gguf
from llamachat.engine.tokenizers.bpe import BytePairs, CharacterPairs, SpacelessPairs
from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.partition import Specials, Stripping, partition, read_stripping
from llamachat.engine.tokenizers.plamo import CheapestPieces
from llamachat.engine.tokenizers.rwkv import LongestBytes
from llamachat.engine.tokenizers.spm import ScoredPieces
from llamachat.engine.tokenizers.unigram import LikeliestPieces
from llamachat.engine.tokenizers.vocabulary import NO_VOCABULARY, FillIn, Keys, Kind
from llamachat.engine.tokenizers.wpm import WordPieces
from llamachat.errors import ModelFileError, Unsupported, UsageError

FAMILIES: dict[str, Callable[[Keys], Family]] = {
    "llama": ScoredPieces,
    "gpt2": BytePairs,
    "gemma4": CharacterPairs,
    "whitespace": SpacelessPairs,
    "bert": WordPieces,
    "t5": LikeliestPieces,
    "rwkv": LongestBytes,
    "plamo2": CheapestPieces,
}


class Tokenizer:
    """Text to token ids and back. `Tokenizer(path)` opens a GGUF file, also one that has a vocabulary only.

    Raises ModelFileError where the file has no tokenizer or a broken one, Unsupported for a family that is not known.
    """

    def __init__(self, path: str | Path) -> None:
        self._set(Keys(open_gguf(path).metadata))

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, object]) -> Tokenizer:
        """The tokenizer of an open file's metadata."""
        tokenizer = cls.__new__(cls)
        tokenizer._set(Keys(metadata))
        return tokenizer

    def _set(self, keys: Keys) -> None:
        family = self._family = _family(keys)
        self._stripping: Stripping = read_stripping(keys)
        vocabulary = self._vocabulary = family.vocabulary
        self.n_vocab = len(vocabulary)
        self.bos, self.eos, self.eot, self.eog = vocabulary.bos, vocabulary.eos, vocabulary.eot, vocabulary.eog
        self.add_bos, self.add_eos = vocabulary.add_bos, vocabulary.add_eos
        self.separator = vocabulary.separator
        self.fill_in: FillIn = vocabulary.fill_in
        self.notes: tuple[str, ...] = tuple(keys.notes)

    def encode(
        self, text: str, add_special: bool = True, parse_special: bool = False, continues: bool = False
    ) -> list[int]:
        """Token ids of a text. continues: it follows another text, and no family puts a space before it.

        add_special: with BOS, EOS, CLS or SEP where the model expects them. parse_special: texts of control tokens
        become those tokens; without it a person's text cannot hold one. User-defined tokens are always found.
        """
        vocabulary, family, text = self._vocabulary, self._family, _whole_characters(text)
        ids = [vocabulary.bos] if add_special and self.add_bos and vocabulary.bos is not None else []
        after_special = not continues
        specials = self._parsed if parse_special else self._always
        for fragment in partition(text, specials.beginning_in(text)):
            if isinstance(fragment, int):
                ids.append(fragment)
            else:
                ids += family.encode_fragment(fragment, after_special)
            after_special = isinstance(fragment, int)
        if add_special:
            closing = vocabulary.eos if self.add_eos else None
            ids += [one for one in (closing, family.closing) if one is not None]
        return ids

    def at_least(self, text: str) -> int:
        """How many tokens a text has at least, in no time: none is longer than the longest of the vocabulary.

        0 where a token may stand for a text of any length.
        """
        return self._family.at_least(text) if self._stripping == Stripping() else 0

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """The text of token ids; bytes that are no UTF-8 become U+FFFD. special: control tokens are printed."""
        return self.decode_bytes(ids, special).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int], special: bool = False) -> bytes:
        """The same as bytes: pieces joined, the space that encoding added taken away, some families' spaces cleaned."""
        pieces = [self.piece_bytes(token, special) for token in ids]
        if pieces and self._family.adds_space:
            pieces[0] = pieces[0].removeprefix(b" ")
        raw = b"".join(pieces)
        return clean_spaces(raw) if self._family.clean_spaces else raw

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """What one token prints; maybe a part of a character. Control tokens print nothing unless `special`.

        Raises UsageError for an id outside the vocabulary.
        """
        if not 0 <= token < self.n_vocab:
            raise UsageError(f"token {token} is not in the vocabulary of {self.n_vocab}")
        return self._family.piece(token, special)

    def piece(self, token: int) -> str:
        """The token's text as the vocabulary has it. Raises UsageError for an id outside the vocabulary."""
        if not 0 <= token < self.n_vocab:
            raise UsageError(f"token {token} is not in the vocabulary of {self.n_vocab}")
        return self._vocabulary.texts[token]

    @cached_property
    def special_texts(self) -> tuple[str, ...]:
        """Texts of the control tokens: what a person must not be able to say by spelling it."""
        kinds, texts = self._vocabulary.kinds, self._vocabulary.texts
        return tuple(texts[i] for i in (kinds == Kind.CONTROL).nonzero()[0].tolist() if texts[i])

    @cached_property
    def _always(self) -> Specials:
        return self._specials((Kind.USER_DEFINED,))

    @cached_property
    def _parsed(self) -> Specials:
        return self._specials((Kind.USER_DEFINED, Kind.CONTROL, Kind.UNKNOWN))

    def _specials(self, kinds: Sequence[Kind]) -> Specials:
        """Special tokens of these kinds, the one with the most bytes first."""
        texts, types = self._vocabulary.texts, self._vocabulary.kinds
        found = [i for kind in kinds for i in (types == kind).nonzero()[0].tolist() if texts[i]]
        found.sort(key=lambda i: (-len(texts[i].encode(errors="replace")), i))
        return Specials([self._stripping.special(texts[i], i) for i in found])


def _whole_characters(text: str) -> str:
    """The text with U+FFFD for half characters, which no UTF-8 text has; two halves beside each other are joined."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _family(keys: Keys) -> Family:
    name = keys.text("model", "no_vocab")
    if name in NO_VOCABULARY:
        raise ModelFileError(
            "the file has no tokenizer; use a GGUF file with a vocabulary", where="tokenizer.ggml.model"
        )
    if name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise Unsupported(
            f"the tokenizer family {name!r:.60} is not known (known: {known})", where="tokenizer.ggml.model"
        )
    return FAMILIES[name](keys)


_SPACE_BEFORE = re.compile(rb" (?=[?!.,])")
_LONE_APOSTROPHE = re.compile(rb" ' ")
_CONTRACTION = re.compile(rb" (?='(?:s|m|re|ve))")


def clean_spaces(raw: bytes) -> bytes:
    """Spaces before ? ! . , and around a lone apostrophe and before 's 'm 're 've taken out, as Transformers does."""
    return _CONTRACTION.sub(b"", _LONE_APOSTROPHE.sub(b"'", _SPACE_BEFORE.sub(b"", raw)))
