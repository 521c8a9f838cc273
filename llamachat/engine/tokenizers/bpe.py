"""Byte-level BPE (GPT-2 and its descendants), and BPE on characters (Gemma 4).

A text is cut into words by the file's pre-tokenizer. Every byte of a word is written as one printable character, and
the pair with the lowest rank is merged first. Our own loop: building another package's tables takes longer than most
prompts, and words come again.
"""

from __future__ import annotations

from functools import cached_property, partial
from itertools import repeat
from math import inf

from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.merging import merge
from llamachat.engine.tokenizers.pre_tokenizers import (
    DEFAULT,
    GEMMA4,
    THREES,
    WITHOUT_BOS,
    PreTokenizer,
    pre_tokenizer,
)
from llamachat.engine.tokenizers.splitting import Splitter, threes
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, read_vocabulary
from llamachat.engine.tokenizers.words import SPACE, KeptPieces, Split, cut_before_spaces
from llamachat.errors import ModelFileError


def _printable_bytes() -> dict[str, int]:
    """character -> byte: printable Latin-1 stands for itself, other bytes are U+0100 and up (OpenAI's encoder.py)."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF = _printable_bytes()
_CHARACTER_OF = {byte: character for character, byte in BYTE_OF.items()}
LONGEST_SHOWN = 256
"""Characters of a token that are listed with each of its characters that is no byte: the product is memory."""


def _unknown_byte(character: str, text: str) -> bytes:
    raw = character.encode(errors="replace")
    return b"[UNK_BYTE_0x" + raw.hex().encode() + text[:LONGEST_SHOWN].encode(errors="replace") + b"]"


class BytePairs(Family):
    """`tokenizer.ggml.model` = gpt2."""

    def __init__(self, keys: Keys) -> None:
        name = keys.text("pre")
        found = pre_tokenizer(name) if name else DEFAULT
        if found is None:
            keys.note(
                f"the pre-tokenizer {name!r:.60} is not known: texts are cut into words the usual way, which may make "
                "answers worse"
            )
        elif not name:
            keys.note(
                "the file names no pre-tokenizer: texts are cut into words the usual way; a newer file of this model "
                "may answer better"
            )
        self._use(keys, found or DEFAULT, None if name in WITHOUT_BOS else 11, 11)

    def _use(self, keys: Keys, pre: PreTokenizer, bos: int | None, eos: int | None) -> None:
        self._pre = pre
        self._merges = keys.texts("merges", required=True)
        super().__init__(read_vocabulary(keys, Defaults(bos=bos, eos=eos, add_bos=pre.add_bos)))
        self.clean_spaces = pre.clean_spaces
        self.adds_space = keys.flag("add_space_prefix", False)

    def at_least(self, text: str) -> int:
        """No token has more bytes than the longest has characters; bytes that are no token are lost."""
        if self._pre.characters:
            return 0
        ids = self.vocabulary.plain_ids
        lost = bytes(byte for character, byte in BYTE_OF.items() if character not in ids)
        return -(-len(text.encode(errors="replace").translate(None, lost)) // self.vocabulary.longest)

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens."""
        return self._encode(0, text.replace(" ", SPACE) if self._pre.escapes_spaces else text)

    def normal_piece(self, text: str) -> bytes:
        """The bytes that the characters stand for; one that stands for none is printed as llama.cpp prints it."""
        if self._pre.escapes_spaces:
            return text.replace(SPACE, " ").encode(errors="replace")
        try:
            return bytes([BYTE_OF[c] for c in text])
        except KeyError:
            return b"".join(bytes([BYTE_OF[c]]) if c in BYTE_OF else _unknown_byte(c, text) for c in text)

    def _encode(self, stage: int, text: str) -> list[int]:
        """Ids of a piece that the expressions before `stage` have left."""
        if stage == len(self._stages):
            return self._word(text)
        return self._kept[stage].encode(self._stages[stage](text))

    @cached_property
    def _stages(self) -> list[Split]:
        """What cuts a text, in order."""
        found: list[Split] = [
            threes if expression == THREES else Splitter(expression).split for expression in self._pre.expressions
        ]
        if self._pre.escapes_spaces:
            found.append(cut_before_spaces(self.vocabulary.texts))
        return found

    @cached_property
    def _kept(self) -> list[KeptPieces]:
        return [KeptPieces(partial(self._encode, stage)) for stage in range(1, len(self._stages) + 1)]

    def _word(self, word: str) -> list[int]:
        """Ids of a word."""
        ids = self.vocabulary.plain_ids
        written = word if self._pre.characters else "".join([_CHARACTER_OF[byte] for byte in word.encode()])
        whole = self._pre.ignore_merges or (self._pre.escapes_spaces and not word.strip("\n"))
        if whole and written in ids:
            return [ids[written]]
        symbols = merge(list(written), self._cost)
        if self._pre.characters:
            found = ([ids[symbol]] if symbol in ids else self.byte_ids(symbol) for symbol in symbols)
            return [token for own in found for token in own]
        return [ids[symbol] for symbol in symbols if symbol in ids]

    def _cost(self, left: str, right: str) -> float:
        """The rank of a pair; merges that make no token are none, since a text could never end in one."""
        rank = self._ranks.get(f"{left} {right}", inf)
        return rank if rank == inf or left + right in self.vocabulary.plain_ids else inf

    @cached_property
    def _ranks(self) -> dict[str, int]:
        """ "left right" -> place in the list of merges, the first one's for a merge that comes twice."""
        merges = self._merges
        if not all(map(str.__contains__, merges, repeat(" "))):
            raise ModelFileError("a merge is not two texts with a space between", where="tokenizer.ggml.merges")
        return dict(zip(reversed(merges), range(len(merges) - 1, -1, -1), strict=True))


class CharacterPairs(BytePairs):
    """`tokenizer.ggml.model` = gemma4: one pre-tokenizer, and no special tokens but those that the file names."""

    def __init__(self, keys: Keys) -> None:
        self._use(keys, GEMMA4, None, None)


class SpacelessPairs(BytePairs):
    """`tokenizer.ggml.model` = whitespace (Jina's Chinese embeddings): words of characters; spaces are no tokens."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self._lower = keys.flag("normalizer.lowercase", False)

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens; of its words alone."""
        written = "".join(map(str.lower, text)) if self._lower else text
        pieces = Splitter(r"\s+").split(written)
        return self._kept[-1].encode(piece for piece in pieces if not piece.isspace())
