"""Self-Extend: old tokens share positions in groups, so that a context may be longer than the model was trained for.

Jin et al. 2024 (arXiv 2401.01325), in the incremental form of llama.cpp (its group and width): whenever
`width` positions have been filled, they are divided by `group`, and what follows moves down to close the gap.
"""

from __future__ import annotations

import numpy as np

from llamachat.errors import UsageError


class GroupedPositions:
    """The positions of a context's tokens; `positions` int64 [n_ctx], valid for those that are evaluated."""

    def __init__(self, n_ctx: int, group: int, width: int) -> None:
        if group < 1 or width < 1 or width % group:
            raise UsageError(
                f"Self-Extend: a width of {width} must be a multiple of the group of {group}, both 1 or more",
                settings=("self_extend",),
            )
        self.group, self.width = group, width
        self.positions = np.arange(n_ctx)
        self._grouped = 0  # positions below this one are shared already

    def next(self, n_past: int) -> int:
        """The position of the token that follows n_past others."""
        return int(self.positions[n_past - 1]) + 1 if n_past else 0

    def room(self, n_past: int) -> int:
        """How many tokens may follow before the positions must be grouped anew."""
        return self._grouped + self.width - self.next(n_past)

    def append(self, n_past: int, n_tokens: int) -> np.ndarray:
        """Positions [n_tokens] of tokens after n_past others."""
        first = self.next(n_past)
        self.positions[n_past : n_past + n_tokens] = np.arange(first, first + n_tokens)
        return self.positions[n_past : n_past + n_tokens]

    def regroup(self, n_past: int) -> np.ndarray:
        """Groups the oldest positions that are not shared yet; the differences, new - old: integers [n_past]."""
        old = self.positions[:n_past].copy()
        first, last = self._grouped, self._grouped + self.width
        # Positions of one group become one, counted on from those before.
        new = np.where(old < first, old, first + (old - first) // self.group)
        beyond = old >= last
        new[beyond] = old[beyond] - (self.width - self.width // self.group)
        self.positions[:n_past] = new
        self._grouped += self.width // self.group
        return new - old

    def as_anew(self, n_past: int) -> bool:
        """Whether the first n_past tokens have the positions that they would have without those that follow."""
        return not n_past or self._grouped == (n_past - 1) // self.width * (self.width // self.group)

    def truncate(self, n_past: int) -> bool:
        """Forgets what follows n_past tokens; False if positions are shared that these alone would not share."""
        as_anew, step = self.as_anew(n_past), self.width // self.group
        while self._grouped > self.next(n_past):
            self._grouped -= step
        if not n_past:
            self._grouped = 0
        return as_anew
