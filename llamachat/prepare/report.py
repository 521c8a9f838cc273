"""How long work tells whoever started it how far it is."""

from collections.abc import Callable

Report = Callable[[int, int | None, str], None]
"""Called with bytes (or tokens) done, in all (None: not known), and the step in words; often, from one thread."""


def silent(done: int, total: int | None, what: str) -> None:
    """A report that nobody reads."""
