"""PLaMo 2's tokenizer: the cheapest pieces of a text, found from its end; what is no token becomes bytes."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.lengths import lengths_by_beginning
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, Kind, read_vocabulary
from llamachat.engine.tokenizers.words import KeptPieces, Split, cut_before_spaces
from llamachat.errors import ModelFileError

_SCALE = 1e4
_UNKNOWN = 10_000_000
_LEAST = 20_000_000
"""Cost from which on a token is never taken."""
_BYTE_ORDER_MARK = "\ufeff"


class CheapestPieces(Family):
    """`tokenizer.ggml.model` = plamo2."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(read_vocabulary(keys, Defaults(bos=1, eos=2, unknown=0)))
        self._scores = keys.scores(len(self.vocabulary))
        self._kept = KeptPieces(self._word)
        if len(self.byte_tokens) < 256:
            raise ModelFileError(
                f"only {len(self.byte_tokens)} of 256 bytes have a token", where="tokenizer.ggml.tokens"
            )

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens; a byte order mark at its beginning is left out."""
        return self._kept.encode(self._cut(text.removeprefix(_BYTE_ORDER_MARK)))

    def normal_piece(self, text: str) -> bytes:
        """The text."""
        return text.encode(errors="replace")

    @cached_property
    def _cut(self) -> Split:
        return cut_before_spaces(list(self._pieces), " ")

    @cached_property
    def _pieces(self) -> dict[str, tuple[int, int]]:
        """text -> cost and id of the tokens that a text may become. Costs are whole numbers: sums are exact."""
        found = {}
        costs = np.nan_to_num(-self._scores.astype(np.float64) * _SCALE, nan=_LEAST, posinf=_LEAST, neginf=_LEAST)
        rounded = (np.sign(costs) * np.floor(np.abs(costs) + 0.5)).tolist()
        hidden = np.isin(self.vocabulary.kinds, (Kind.BYTE, Kind.CONTROL, Kind.UNKNOWN)).tolist()
        for token, text in enumerate(self.vocabulary.texts):
            if text and not hidden[token] and rounded[token] < _LEAST:
                found[text] = int(rounded[token]), token
        return found

    @cached_property
    def _lengths(self) -> dict[str, tuple[int, ...]]:
        longest_first = lengths_by_beginning(self._pieces).items()
        return {beginning: lengths[::-1] for beginning, lengths in longest_first}

    def _word(self, word: str) -> list[int]:
        """The cheapest pieces; among equals the longest."""
        of_piece, of_beginning, count = self._pieces.get, self._lengths.get, len(word)
        costs = [0] * (count + 1)
        taken = [(1, -1)] * count
        for start in range(count - 1, -1, -1):
            best, choice = costs[start + 1] + _UNKNOWN, (1, -1)
            beginning = word[start : start + 2]
            for length in of_beginning(beginning) or of_beginning(beginning[0], ()):
                end = start + length
                found = of_piece(word[start:end]) if end <= count else None
                if found is None:
                    continue
                cost = costs[end] + found[0]
                # A token wins against bytes that cost the same, a longer token against a shorter one.
                if cost < best or (cost == best and choice[1] < 0):
                    best, choice = cost, (length, found[1])
            costs[start], taken[start] = best, choice
        ids, start = [], 0
        while start < count:
            length, token = taken[start]
            ids += self.byte_ids(word[start]) if token < 0 else [token]
            start += length
        return ids
