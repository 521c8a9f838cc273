"""SentencePiece-style tokenizers with scores (Kudo & Richardson 2018, arXiv 1808.06226), as GGUF files carry them.

A text begins as characters, spaces written as U+2581; the neighbouring pair whose joint text is the token with the
highest score is merged, the leftmost first among equals, until no pair is a token. Characters that are no token become
bytes. Our own loop, because the files have no list of merges and deriving one takes longer than most prompts.
"""

from __future__ import annotations

import heapq
import re
from functools import cached_property

import numpy as np

from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, read_vocabulary
from llamachat.errors import ModelFileError

SPACE = "\u2581"
_WORDS = re.compile(f"{SPACE}*[^{SPACE}]+|{SPACE}+")
_CACHED_WORD = 32
_CACHE_SIZE = 65_536


class ScoredPieces(Family):
    """`tokenizer.ggml.model` = llama."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(read_vocabulary(keys, Defaults(bos=1, eos=2, unknown=0, add_bos=True)))
        count = len(self.vocabulary)
        scores = keys.numbers("scores", count)
        if scores is None:
            raise ModelFileError("the file has no scores to merge by", where="tokenizer.ggml.scores")
        self._scores: list[float] = np.nan_to_num(scores.astype(np.float32)).tolist()
        self.adds_space = keys.flag("add_space_prefix", True)
        self._cache: dict[str, list[int]] = {}

    def at_least(self, text: str) -> int:
        """Where every byte has a token, or there is one for what is unknown, nothing of a text is lost."""
        loses_nothing = self.vocabulary.unknown is not None or len(self._byte_tokens) == 256
        return -(-len(text) // self.vocabulary.longest) if loses_nothing else 0

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens."""
        if self.adds_space and after_special:
            text = " " + text
        text = text.replace(" ", SPACE)
        if self._merges_across_words:
            return self._merge(text)
        ids: list[int] = []
        for word in _WORDS.findall(text):
            known = self._cache.get(word)
            if known is None:
                known = self._merge(word)
                if len(word) <= _CACHED_WORD and len(self._cache) < _CACHE_SIZE:
                    self._cache[word] = known
            ids += known
        return ids

    def normal_piece(self, text: str) -> bytes:
        """The text with its spaces."""
        return text.replace(SPACE, " ").encode(errors="replace")

    @cached_property
    def _merges_across_words(self) -> bool:
        """Whether some token has a space after another character, so that words cannot be merged one by one."""
        return re.search(f"[^{SPACE}\0]{SPACE}", "\0".join(self.vocabulary.texts)) is not None

    def _merge(self, text: str) -> list[int]:
        """Merges pairs, best score first, with a heap of candidates and a linked list of symbols."""
        ids, scores = self.vocabulary.plain_ids, self._scores
        symbols: list[str] = list(text)
        following = list(range(1, len(symbols) + 1))
        previous = list(range(-1, len(symbols) - 1))
        heap: list[tuple[float, int, int, str]] = []

        def offer(left: int, right: int) -> None:
            joined = symbols[left] + symbols[right]
            token = ids.get(joined)
            if token is not None:
                heapq.heappush(heap, (-scores[token], left, right, joined))

        for i in range(len(symbols) - 1):
            offer(i, i + 1)
        while heap:
            _, left, right, joined = heapq.heappop(heap)
            if not symbols[left] or not symbols[right] or len(symbols[left]) + len(symbols[right]) != len(joined):
                continue
            symbols[left], symbols[right] = joined, ""
            after = following[left] = following[right]
            if after < len(symbols):
                previous[after] = left
                offer(left, after)
            if previous[left] >= 0:
                offer(previous[left], left)
        return [token for symbol in symbols if symbol for token in self._ids(symbol)]

    def _ids(self, symbol: str) -> list[int]:
        """A symbol's token, or those of its bytes; the unknown token where the file has no bytes."""
        known = self.vocabulary.plain_ids.get(symbol)
        if known is not None:
            return [known]
        raw = symbol.encode(errors="replace")
        found = [self._byte_tokens.get(byte, self.vocabulary.unknown) for byte in raw]
        return [token for token in found if token is not None]

    @cached_property
    def _byte_tokens(self) -> dict[int, int]:
        """byte -> token: `<0x41>`, else the token of that one character."""
        ids = self.vocabulary.plain_ids
        named = {byte: ids.get(f"<0x{byte:02X}>", ids.get(chr(byte) if byte < 128 else "")) for byte in range(256)}
        return {byte: token for byte, token in named.items() if token is not None}
