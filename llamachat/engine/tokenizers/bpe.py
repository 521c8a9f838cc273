"""Byte-level BPE (GPT-2 and its descendants), on the `tokenizers` package.

Every byte is written as one printable character, words are cut by the file's pre-tokenizer, and in a word the pair with
the lowest rank is merged first.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any

from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.pre_tokenizers import EXPRESSIONS, WITHOUT_BOS, PreTokenizer, pre_tokenizer
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, Vocabulary, read_vocabulary
from llamachat.errors import ModelFileError, Unsupported


def _printable_bytes() -> dict[str, int]:
    """character -> byte: printable Latin-1 stands for itself, other bytes are U+0100 and up (OpenAI's encoder.py)."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF = _printable_bytes()
LONGEST_SHOWN = 256
"""Characters of a token that are listed with each of its characters that is no byte: the product is memory."""


def _unknown_byte(character: str, text: str) -> bytes:
    raw = character.encode(errors="replace")
    return b"[UNK_BYTE_0x" + raw.hex().encode() + text[:LONGEST_SHOWN].encode(errors="replace") + b"]"


class BytePairs(Family):
    """`tokenizer.ggml.model` = gpt2."""

    def __init__(self, keys: Keys) -> None:
        name = keys.text("pre", "default")
        found = pre_tokenizer(name)
        if found is None:
            close = difflib.get_close_matches(name[:60], EXPRESSIONS, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise Unsupported(f"the pre-tokenizer {name!r:.60} is not known{hint}", where="tokenizer.ggml.pre")
        self._pre: PreTokenizer = found
        self._merges = keys.texts("merges", required=True)
        bos = None if name in WITHOUT_BOS else 11
        super().__init__(read_vocabulary(keys, Defaults(bos=bos, eos=11, add_bos=found.add_bos)))
        self.clean_spaces = found.clean_spaces

    def at_least(self, text: str) -> int:
        """No token has more bytes than the longest has characters; bytes that are no token are lost."""
        ids = self.vocabulary.plain_ids
        lost = bytes(byte for character, byte in BYTE_OF.items() if character not in ids)
        return -(-len(text.encode(errors="replace").translate(None, lost)) // self.vocabulary.longest)

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens."""
        ids: list[int] = self._engine.encode(_without_surrogates(text), add_special_tokens=False).ids
        return ids

    def normal_piece(self, text: str) -> bytes:
        """The bytes that the characters stand for; one that stands for none is printed as llama.cpp prints it."""
        try:
            return bytes([BYTE_OF[c] for c in text])
        except KeyError:
            return b"".join(bytes([BYTE_OF[c]]) if c in BYTE_OF else _unknown_byte(c, text) for c in text)

    @cached_property
    def _engine(self) -> Any:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers

        merges = [tuple(merge.split(" ", 1)) for merge in self._merges]
        if any(len(merge) != 2 for merge in merges):
            raise ModelFileError("a merge is not two texts with a space between", where="tokenizer.ggml.merges")
        engine = Tokenizer(_model(models.BPE, self.vocabulary, merges, self._pre.ignore_merges))
        splits = [pre_tokenizers.Split(Regex(one), "isolated") for one in self._pre.expressions]
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        engine.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
        return engine


def _model(kind: Any, vocabulary: Vocabulary, merges: list[tuple[str, ...]], ignore_merges: bool) -> Any:
    """The merge model; merges whose parts or result are no tokens are left out, as they can never end in one."""
    ids = vocabulary.plain_ids
    if _n_bytes(map("".join, merges)) <= _n_bytes(ids):  # else the package panics, and prints a backtrace
        with suppress(Exception):
            return kind(ids, merges, ignore_merges=ignore_merges)
    possible = [pair for pair in merges if pair[0] in ids and pair[1] in ids and "".join(pair) in ids]
    try:
        return kind(ids, possible, ignore_merges=ignore_merges)
    except Exception as error:
        raise ModelFileError(f"the merges cannot be used: {error}", where="tokenizer.ggml.merges") from error


def _n_bytes(texts: Iterable[str]) -> int:
    """The length of the longest text, in bytes."""
    return max(map(len, map(str.encode, texts)), default=0)


def _without_surrogates(text: str) -> str:
    """Half characters, which no UTF-8 text has, as U+FFFD."""
    return text.encode(errors="replace").decode() if not text.isascii() and _has_surrogate(text) else text


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
