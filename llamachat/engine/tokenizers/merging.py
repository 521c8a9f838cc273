"""Neighbouring symbols merged, the best pair first: the heart of BPE, with ranks and with scores."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import pairwise
from math import inf

Cost = Callable[[str, str], float]
"""What merging two symbols costs: the least is merged first, the leftmost among equals; `inf` for no pair."""

_SHORT = 96
"""Symbols up to which looking at all pairs costs less than keeping them in order."""


def merge(symbols: list[str], cost: Cost) -> list[str]:
    """The symbols left when no pair can be merged. Changes the list that it is given."""
    return _merge_short(symbols, cost) if len(symbols) <= _SHORT else _merge_long(symbols, cost)


def _merge_short(symbols: list[str], cost: Cost) -> list[str]:
    costs = [cost(left, right) for left, right in pairwise(symbols)]
    while costs and (best := min(costs)) != inf:
        i = costs.index(best)
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
        del costs[i]
        if i > 0:
            costs[i - 1] = cost(symbols[i - 1], symbols[i])
        if i < len(costs):
            costs[i] = cost(symbols[i], symbols[i + 1])
    return symbols


def _merge_long(symbols: list[str], cost: Cost) -> list[str]:
    """With a heap of pairs and a linked list of symbols: n log n for n symbols.

    A pair is out of date where one of the two has grown or gone; then their lengths tell.
    """
    count = len(symbols)
    following, previous = list(range(1, count + 1)), list(range(-1, count - 1))
    heap: list[tuple[float, int, int, int]] = []
    for i in range(count - 1):
        found = cost(symbols[i], symbols[i + 1])
        if found != inf:
            heap.append((found, i, i + 1, len(symbols[i]) + len(symbols[i + 1])))
    heapq.heapify(heap)
    while heap:
        _, left, right, length = heapq.heappop(heap)
        if not symbols[left] or not symbols[right] or len(symbols[left]) + len(symbols[right]) != length:
            continue
        symbols[left] += symbols[right]
        symbols[right] = ""
        after = following[left] = following[right]
        if after < count:
            previous[after] = left
            found = cost(symbols[left], symbols[after])
            if found != inf:
                heapq.heappush(heap, (found, left, after, length + len(symbols[after])))
        before = previous[left]
        if before >= 0:
            found = cost(symbols[before], symbols[left])
            if found != inf:
                heapq.heappush(heap, (found, before, left, len(symbols[before]) + length))
    return [symbol for symbol in symbols if symbol]
