"""How samplers and biases are spelled on a command line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from llamachat.errors import UsageError

DEFAULT_ORDER = (
    *("penalties", "dry", "top_n_sigma", "top_k", "tfs_z", "typ_p", "top_p", "min_p", "xtc", "temperature"),
)
"""Every sampler's name in llama.cpp's order, and tail-free sampling where it was in 2024. Most are off by default."""

ALIASES = {
    "topk": "top_k",
    "topp": "top_p",
    "nucleus": "top_p",
    "minp": "min_p",
    "typical": "typ_p",
    "typical_p": "typ_p",
    "typp": "typ_p",
    "tfs": "tfs_z",
    "tail_free": "tfs_z",
    "temp": "temperature",
    "top_nsigma": "top_n_sigma",
    "topnsigma": "top_n_sigma",
    "penalty": "penalties",
}
LETTERS = {
    "e": "penalties",
    "d": "dry",
    "s": "top_n_sigma",
    "k": "top_k",
    "f": "tfs_z",
    "y": "typ_p",
    "p": "top_p",
    "m": "min_p",
    "x": "xtc",
    "t": "temperature",
}
"""The letters of `sampling_seq`."""

LARGEST_BIAS = 1e9
"""Far beyond any logit, and float32 still adds it up."""


def parse_order(order: str | Iterable[str]) -> tuple[str, ...]:
    """Names of samplers in order, from "top_k;temp" or from single names. Raises UsageError for unknown ones."""
    texts = [order] if isinstance(order, str) else list(order)
    names = tuple(_sampler(name) for text in texts for name in str(text).split(";") if name.strip())
    if len(set(names)) < len(names):
        raise UsageError(f"samplers: a name stands twice in {';'.join(names)}", settings=("samplers",))
    return names


def order_of(text: str) -> tuple[str, ...]:
    """The samplers of a text that is either names with ; between or letters, as model files have it."""
    spelled_out = ";" in text or "_" in text or "-" in text or _known(text)
    return parse_order(text) if spelled_out else order_of_letters(text)


def order_of_letters(letters: str) -> tuple[str, ...]:
    """The samplers of `sampling_seq`. Raises UsageError for a letter that none has."""
    for letter in letters:
        if letter not in LETTERS:
            said = f"sampling_seq: no sampler has the letter {letter!r}; known are {', '.join(LETTERS)}"
            raise UsageError(said, settings=("sampling_seq",))
    return parse_order(LETTERS[letter] for letter in letters)


def _known(text: str) -> str | None:
    """The sampler with this name, in any of its spellings."""
    name = text.strip().lower().replace("-", "_")
    name = ALIASES.get(name, name)
    return name if name in DEFAULT_ORDER else None


def _sampler(text: str) -> str:
    found = _known(text)
    if found is None:
        name = text.strip().lower().replace("-", "_")
        close = get_close_matches(name, [*DEFAULT_ORDER, *ALIASES], 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(DEFAULT_ORDER)}"
        said = f"samplers: there is no sampler named {text.strip()!r}; {hint}"
        raise UsageError(said, settings=("samplers",))
    return found


def parse_bias(given: Any) -> tuple[tuple[int, float], ...]:
    """(token, bias) pairs from pairs, or from texts such as "15043+1" and "7-inf,9+0.5". Raises UsageError."""
    found: list[tuple[int, float]] = []
    for item in [given] if isinstance(given, str) else given:
        found += [_bias(text) for text in item.split(",")] if isinstance(item, str) else [_pair(item)]
    return tuple(found)


def _bias(text: str) -> tuple[int, float]:
    match = re.fullmatch(r"\s*(\d{1,9})([+-])(\d+(?:\.\d*)?|\.\d+|inf)\s*", text, re.ASCII | re.IGNORECASE)
    if match is None or not _is_bias(float(match[2] + match[3])):
        said = f"logit_bias {text!r}: write TOKEN+BIAS or TOKEN-BIAS, as 15043+1; 15043-inf bans it"
        raise UsageError(said, settings=("logit_bias",))
    return int(match[1]), float(match[2] + match[3])


def _is_bias(value: float) -> bool:
    return abs(value) <= LARGEST_BIAS or value == -math.inf


def _pair(item: Any) -> tuple[int, float]:
    try:
        token, bias = item
        pair = int(token), float(bias)
    except (TypeError, ValueError):
        said = f"logit_bias must be pairs of a token and a number, not {item!r}"
        raise UsageError(said, settings=("logit_bias",)) from None
    if pair[0] < 0 or not _is_bias(pair[1]):
        said = f"logit_bias must be a token and a number up to {LARGEST_BIAS:g} or -inf, not {item!r}"
        raise UsageError(said, settings=("logit_bias",))
    return pair
