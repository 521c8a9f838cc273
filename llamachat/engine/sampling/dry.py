"""DRY, "don't repeat yourself": a penalty for going on as the text did before."""

from array import array
from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.sampling.candidates import LARGEST, Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary

LARGEST_EXPONENT = 88.7228391
"""ln of the largest float32: the penalty's power never exceeds it."""
LONGEST_TAIL = 20

Tails = dict[int, list[tuple[int, ...]]]


class Dry(Stage):
    """Token t that would continue a repetition of length n: l -= multiplier * base^(n - allowed), for n >= allowed.

    n is the longest match between the end of the text and an earlier place that t followed, within the last tokens and
    not across a sequence breaker. Source: p-e-w 2024 (text-generation-webui, pull request 5677), as llama.cpp's
    `llama_sampler_dry`.
    """

    def __init__(self, options: SamplingOptions, vocabulary: Vocabulary) -> None:
        self._multiplier, self._base = options.dry_multiplier, options.dry_base
        self._allowed, self._last_n = options.dry_allowed_length, options.dry_penalty_last_n
        self._n_vocab = vocabulary.n_vocab
        self._breakers = breaker_tokens(options.dry_sequence_breaker, vocabulary)
        self._single = {token for token, tails in self._breakers.items() if () in tails}
        self._text = array("q")
        exponent = int(LARGEST_EXPONENT / np.log(self._base)) if self._base > 1.000001 else 0
        self._longest = self._allowed + exponent

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "Dry | None":
        """The sampler, or None where the options turn it off."""
        off = options.dry_multiplier == 0 or options.dry_penalty_last_n == 0
        return None if off else cls(options, vocabulary)

    def accept(self, token: int) -> None:
        """Remember the token."""
        self._text.append(token)
        if self._last_n > 0 and len(self._text) > 2 * self._last_n:
            del self._text[: -self._last_n]

    def apply(self, candidates: Candidates) -> None:
        """Penalise the candidates that would continue a repetition."""
        recent = self._text[-self._last_n :] if self._last_n > 0 else self._text
        limit = self._unbroken(recent)
        if limit < self._allowed:
            return
        lengths = repetitions(np.frombuffer(recent, dtype=np.int64), limit)
        found = {t: n for t, n in lengths.items() if n >= self._allowed and self._punishable(t)}
        if not found:
            return
        tokens = np.array(sorted(found), dtype=np.intp)
        powers = np.array([self._base ** (found[t] - self._allowed) for t in tokens.tolist()])
        positions, here = candidates.positions(tokens, self._n_vocab)
        penalties = np.minimum(self._multiplier * powers[here], LARGEST).astype(np.float32)
        candidates.change(positions, candidates.logits[positions] - penalties)

    def _punishable(self, token: int) -> bool:
        return 0 <= token < self._n_vocab and token not in self._single

    def _unbroken(self, text: Sequence[int]) -> int:
        """How many tokens at the end hold no sequence breaker, as far as it matters."""
        for back in range(min(len(text), self._longest + LONGEST_TAIL)):
            tails = self._breakers.get(text[len(text) - 1 - back])
            if tails is None:
                continue
            following = tuple(text[len(text) - back :])
            matched = [len(tail) for tail in tails if tail == following[: len(tail)]]
            if matched:
                return min(back - max(matched), self._longest)
        return min(len(text), self._longest)


FEW = 32
"""Lengths up to which all places are compared at once; longer ones are found place by place."""


def repetitions(text: NDArray[np.integer], limit: int) -> dict[int, int]:
    """{token that followed an earlier occurrence of the end of `text` [n]: its greatest length, at most `limit`}."""
    n = text.size
    ends = np.flatnonzero(text[:-1] == text[-1]) if n > 1 else np.empty(0, np.intp)
    lengths = np.zeros(n, np.intp)  # of the repetition that ends at each place
    going, length = ends, 1
    while going.size and length <= min(limit, FEW):
        lengths[going] = length
        going = going[going >= length]
        going = going[text[going - length] == text[n - 1 - length]]
        length += 1
    if going.size and length <= limit:  # a text that repeats itself again and again
        lengths[going] = np.minimum(_common_ends(text)[going], limit)
    longest: dict[int, int] = {}
    for token, found in zip(text[ends + 1].tolist(), lengths[ends].tolist(), strict=True):
        longest[token] = max(found, longest.get(token, 0))
    return {token: found for token, found in longest.items() if found}


def _common_ends(text: NDArray[np.integer]) -> NDArray[np.intp]:
    """For each place how many tokens up to it are those up to the text's end (Gusfield's Z, from the end)."""
    tokens = text[::-1].tolist()
    n, left, right = len(tokens), 0, 0
    found = [n] + [0] * (n - 1)
    for i in range(1, n):
        same = min(right - i, found[i - left]) if i < right else 0
        while i + same < n and tokens[same] == tokens[i + same]:
            same += 1
        if i + same > right:
            left, right = i, i + same
        found[i] = same
    return np.array(found[::-1], dtype=np.intp)


_known: WeakKeyDictionary[Vocabulary, dict[tuple[str, ...], Tails]] = WeakKeyDictionary()
# Looking through 262,144 tokens takes 0.8 s, and every answer has samplers of its own.


def breaker_tokens(breakers: Sequence[str], vocabulary: Vocabulary) -> Tails:
    """The tokens at which a breaker begins, and the tokens that must follow; () where the token holds it whole."""
    known = _known.setdefault(vocabulary, {})
    if tuple(breakers) not in known:
        known[tuple(breakers)] = _breaker_tokens(breakers, vocabulary)
    return known[tuple(breakers)]


def _breaker_tokens(breakers: Sequence[str], vocabulary: Vocabulary) -> Tails:
    found: Tails = {}
    wanted = [(text, text.encode()) for text in breakers]
    for token in range(vocabulary.n_vocab if wanted else 0):
        piece = vocabulary.piece_bytes(token)
        for text, raw in wanted:
            for tail in _tails(piece, text, raw, vocabulary):
                found.setdefault(token, []).append(tail)
    return found


def _tails(piece: bytes, text: str, raw: bytes, vocabulary: Vocabulary) -> Iterator[tuple[int, ...]]:
    if raw in piece:
        yield ()
        return
    for n in range(1, len(raw)):
        if piece.endswith(raw[:n]):
            rest = raw[n:].decode("utf-8", "ignore")
            if rest:
                yield tuple(vocabulary.encode(rest, add_special=False))[:LONGEST_TAIL]
