"""Unigram tokenizers (Kudo 2018, arXiv 1804.10959) of T5, mT5, XLM-R and BGE-M3: the likeliest pieces of a text."""

from __future__ import annotations

from functools import cached_property
from itertools import groupby
from math import inf

import numpy as np

from llamachat.engine.tokenizers.charsmap import CharsMap
from llamachat.engine.tokenizers.family import Family
from llamachat.engine.tokenizers.lengths import lengths_by_beginning
from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, Kind, read_vocabulary
from llamachat.engine.tokenizers.words import SPACE, KeptPieces, Split, cut_before_spaces

_UNKNOWN_PENALTY = np.float32(10.0)


class LikeliestPieces(Family):
    """`tokenizer.ggml.model` = t5."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(read_vocabulary(keys, Defaults(eos=1, unknown=2, add_eos=True)))
        self._scores = keys.scores(len(self.vocabulary))
        self._charsmap = keys.data("precompiled_charsmap")
        self.adds_space = keys.flag("add_space_prefix", False)
        self._merges_spaces = keys.flag("remove_extra_whitespaces", False)
        self._kept = KeptPieces(self._word)

    def encode_fragment(self, text: str, after_special: bool) -> list[int]:
        """Ids of a text without special tokens; unknown characters beside each other are one unknown token."""
        ids = self._kept.encode(self._cut(self._normalised(text)))
        unknown = self.vocabulary.unknown
        if unknown in ids:
            return [one for token, run in groupby(ids) for one in ((token,) if token == unknown else run)]
        return ids

    def _normalised(self, text: str) -> str:
        text = self._map.normalise(text)
        if self._merges_spaces:
            return "".join([SPACE + word for word in text.split(" ") if word])
        begin = len(text) - len(text.lstrip(" "))
        prefix = SPACE if self.adds_space and begin < len(text) else ""
        return (text[:begin] + prefix + text[begin:]).replace(" ", SPACE)

    @cached_property
    def _map(self) -> CharsMap:
        texts = self.vocabulary.texts
        verbatim = [texts[i] for i in (self.vocabulary.kinds == Kind.USER_DEFINED).nonzero()[0].tolist()]
        return CharsMap(self._charsmap, verbatim)

    @cached_property
    def _cut(self) -> Split:
        return cut_before_spaces(self.vocabulary.texts)

    @cached_property
    def _pieces(self) -> dict[str, tuple[float, int]]:
        """text -> score and id of the tokens that a text may become; user-defined ones cost nothing."""
        kinds = self.vocabulary.kinds
        scores = np.where(kinds == Kind.USER_DEFINED, 0.0, self._scores.astype(np.float64)).tolist()
        usable = np.isin(kinds, (Kind.NORMAL, Kind.USER_DEFINED, Kind.UNUSED)).nonzero()[0].tolist()
        texts = self.vocabulary.texts
        return {texts[i]: (scores[i], i) for i in usable}

    @cached_property
    def _lengths(self) -> dict[str, tuple[int, ...]]:
        return lengths_by_beginning(self._pieces)

    @cached_property
    def _unknown_score(self) -> float:
        normal = self._scores[self.vocabulary.kinds == Kind.NORMAL]
        least = normal.min() if len(normal) else np.float32(0)
        return float(np.float32(least) - _UNKNOWN_PENALTY)

    def _word(self, word: str) -> list[int]:
        """The likeliest pieces (Viterbi); among equals the one that begins first."""
        pieces, lengths, count = self._pieces, self._lengths, len(word)
        best = [0.0, *[-inf] * count]
        ending: list[tuple[int, int | None]] = [(0, None)] * (count + 1)
        for start in range(count):
            score, single = best[start], False
            for length in lengths.get(word[start : start + 2], ()) or lengths.get(word[start], ()):
                found = pieces.get(word[start : start + length])
                if found is None:
                    continue
                single = single or length == 1
                end = start + length
                if end <= count and score + found[0] > best[end]:
                    best[end], ending[end] = score + found[0], (start, found[1])
            if not single and score + self._unknown_score > best[start + 1]:
                best[start + 1], ending[start + 1] = score + self._unknown_score, (start, self.vocabulary.unknown)
        ids, end = [], count
        while end > 0:
            end, token = ending[end]
            if token is not None:
                ids.append(token)
        return ids[::-1]
