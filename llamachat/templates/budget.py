"""What one rendering may use: steps, seconds of computing, bytes of text and lists.

Everything that a template makes is charged here, and nothing is made whose size written out exceeds the budget: a list
that holds another one twice counts it twice. So no value is exponentially larger than the work that built it.
"""

import sys
import threading
import time
from collections.abc import ItemsView, Iterable, Mapping, Set, ValuesView
from typing import Any, NoReturn

from llamachat.errors import LlamaChatError

MAX_STEPS = 1_000_000
MAX_CPU_S = 1.5
CPU_S_PER_MESSAGE = 0.005
"""Some honest templates look at all messages for each of them."""

MAX_CHARS = 16_000_000
"""Characters of one text."""

MAX_BYTES = 48_000_000
"""Everything that one rendering makes, and each value written out."""

MAX_DEPTH = 200
STEPS_PER_LOOK = 64
BYTES_PER_STEP = 4096
SCALAR_BYTES = 64
RECORD_BYTES = 256
"""What remembering a container's weight takes."""

CONTAINERS = (list, tuple, Mapping, Set, ValuesView)


def refuse_size() -> NoReturn:
    """Raise LlamaChatError for a text or number that is too large."""
    raise LlamaChatError(
        f"The chat template was stopped: it makes more than {MAX_CHARS // 10**6} million characters, or "
        f"{MAX_BYTES // 10**6} MB in all"
    )


def bounded(n_chars: int) -> None:
    """Raises LlamaChatError for a text of this many characters, before it is made."""
    if n_chars > MAX_CHARS:
        refuse_size()


class Budget(threading.local):
    """What has been used; each thread has its own. Every method raises LlamaChatError where that is too much."""

    steps = 0
    next_look = STEPS_PER_LOOK
    started_s = 0.0
    allowed_s = MAX_CPU_S
    n_bytes = 0

    def __init__(self) -> None:
        self._weights: dict[int, tuple[object, int, int]] = {}

    def begin(self, n_messages: int = 0) -> None:
        """Start anew, with this many messages: steps, seconds and bytes."""
        self.allowed_s = MAX_CPU_S + n_messages * CPU_S_PER_MESSAGE
        self.steps, self.next_look, self.started_s = 0, STEPS_PER_LOOK, time.thread_time()
        self.forget()

    def forget(self) -> None:
        """Another rendering in the same time and steps: what the one before made is gone."""
        self.n_bytes = 0
        self._weights = {}

    def step(self, cost: int = 1) -> None:
        """Counts an iteration or a call. Raises LlamaChatError beyond MAX_STEPS."""
        self.steps += cost
        if self.steps > MAX_STEPS:
            raise LlamaChatError(f"The chat template was stopped after {MAX_STEPS} steps; it seems to run in circles")
        if self.steps >= self.next_look:
            self.look()

    def look(self) -> None:
        """Looks at the clock. Raises LlamaChatError after `allowed_s` seconds of processor time."""
        self.next_look = self.steps + STEPS_PER_LOOK
        if time.thread_time() - self.started_s > self.allowed_s:
            raise LlamaChatError(f"The chat template was stopped after {self.allowed_s:.1f} seconds of computing")

    def charge(self, n_bytes: int) -> None:
        """Counts bytes that were made, or are about to be. Raises LlamaChatError beyond MAX_BYTES."""
        self.n_bytes += n_bytes
        if self.n_bytes > MAX_BYTES:
            refuse_size()
        self.step(1 + n_bytes // BYTES_PER_STEP)

    def weigh(self, value: object) -> int:
        """Bytes of the value, written out. A container that was weighed before costs nothing."""
        return self._weighed(value)[0]

    def _weighed(self, value: object) -> tuple[int, int]:
        """Bytes and depth."""
        if isinstance(value, str | bytes | int | float):
            return sys.getsizeof(value), 0
        if not isinstance(value, CONTAINERS):
            return SCALAR_BYTES, 0
        known = self._weights.get(id(value))
        if known is not None:
            return known[1], known[2]
        n_bytes, depth = sys.getsizeof(value), 0
        for item in _items(value):
            more, below = self._weighed(item)
            n_bytes, depth = n_bytes + more, max(depth, below)
            if n_bytes > MAX_BYTES or depth >= MAX_DEPTH:
                refuse_size()
        self.charge(RECORD_BYTES)
        # The value itself is kept, so that its id stays its own.
        self._weights[id(value)] = value, n_bytes, depth + 1
        return n_bytes, depth + 1


def _items(value: Any) -> Iterable[object]:
    """What is in a container: of a mapping keys and values."""
    if isinstance(value, ItemsView) and hasattr(value, "mapping"):
        value = value.mapping
    if isinstance(value, Mapping):
        return (part for item in value.items() for part in item)
    return value  # type: ignore[no-any-return]
