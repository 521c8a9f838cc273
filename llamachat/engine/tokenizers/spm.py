"""SentencePiece-style tokenizers with scores (Kudo & Richardson 2018, arXiv 1808.06226), as GGUF files carry them.

A text begins as characters, spaces written as U+2581; the neighbouring pair whose joint text is the token with the
highest score is merged, the leftmost first among equals, until no pair is a token. Characters that are no token become
bytes. Our own loop, because the files have no list of merges and deriving one takes longer than most prompts.
"""

from __future__ import annotations

from functools import cached_property
from math import inf

import numpy as np

from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.merging import merge
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, read_vocabulary
from llamachat.engine.tokenizers.words import SPACE, KeptPieces, Split, cut_before_spaces


class ScoredPieces(Family):
    """`tokenizer.ggml.model` = llama."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(read_vocabulary(keys, Defaults(bos=1, eos=2, unknown=0, add_bos=True)))
        self._scores = np.nan_to_num(keys.scores(len(self.vocabulary)))
        self.adds_space = keys.flag("add_space_prefix", True)
        self._kept = KeptPieces(self._word)

    def at_least(self, text: str) -> int:
        """Where every byte has a token, or there is one for what is unknown, nothing of a text is lost."""
        loses_nothing = self.vocabulary.unknown is not None or len(self.byte_tokens) == 256
        return -(-len(text) // self.vocabulary.longest) if loses_nothing else 0

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens."""
        if self.adds_space and after_special:
            text = " " + text
        return self._kept.encode(self._cut(text.replace(" ", SPACE)))

    @cached_property
    def _cut(self) -> Split:
        return cut_before_spaces(self.vocabulary.texts)

    def _word(self, word: str) -> list[int]:
        return [token for symbol in merge(list(word), self._cost) for token in self._ids(symbol)]

    def _cost(self, left: str, right: str) -> float:
        token = self.vocabulary.plain_ids.get(left + right)
        return inf if token is None else self._costs[token]

    @cached_property
    def _costs(self) -> list[float]:
        """token -> its score with the sign turned."""
        found: list[float] = (-self._scores).tolist()
        return found

    def _ids(self, symbol: str) -> list[int]:
        """A symbol's token, or those of its bytes; the unknown token where the file has no bytes."""
        ids = self.vocabulary.plain_ids
        known = ids.get(symbol)
        if known is not None:
            return [known]
        raw = symbol.encode(errors="replace")
        found = [self.byte_tokens.get(byte, ids.get(chr(byte), self.vocabulary.unknown)) for byte in raw]
        return [token for token in found if token is not None]
