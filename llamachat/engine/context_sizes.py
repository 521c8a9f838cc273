"""How large a context is: its tokens, the memory that they take and how it lies, and what a step takes at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llamachat.errors import UsageError

if TYPE_CHECKING:
    from llamachat.engine.backend.interface import Forward
    from llamachat.engine.plan import Plan
    from llamachat.engine.state.cache_types import CacheType


class ContextSizes:
    """n_ctx tokens at most in a state of a forward pass; `tokens`: ids of those that are evaluated."""

    def __init__(self, forward: Forward, plan: Plan, n_ctx: int) -> None:
        if n_ctx < 1:
            raise UsageError(f"a context needs at least one token, not {n_ctx}")
        self.n_ctx = n_ctx
        self.tokens: list[int] = []
        self._forward, self._plan = forward, plan
        self._state = forward.new_state()

    @property
    def n_past(self) -> int:
        """How many tokens are evaluated."""
        return len(self.tokens)

    @property
    def n_vocab(self) -> int:
        """How many tokens the model has."""
        return self._plan.nodes[-1].width

    @property
    def max_apart(self) -> int:
        """How many tokens a step can take that are of several contexts."""
        return min(self._forward.limits.apart, self._forward.limits.outputs)

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache may take when full."""
        return self._state.n_bytes

    @property
    def max_batch(self) -> int:
        """Tokens that are evaluated at once."""
        return self._forward.limits.contiguous

    def bytes_of(self, n_tokens: int) -> int:
        """Memory that n_tokens take."""
        return self._state.used_bytes(n_tokens)

    @property
    def cache_types(self) -> tuple[CacheType, CacheType]:
        """The types of its keys and values."""
        return self._forward.cache_types

    @property
    def layout(self) -> str:
        """How the cache lies in memory; what `memory` gives fits contexts with the same layout, of the same model."""
        return self._forward.layout

    def parts(self, n_tokens: int) -> Sequence[tuple[int, str]]:
        """What `memory` repeats: bytes, and the cache type of the numbers in them; see `Forward.parts`."""
        return self._forward.parts(n_tokens)
