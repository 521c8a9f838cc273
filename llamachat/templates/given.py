"""What a template is given: a copy in JSON's types, so that it can be sent to a helper and nobody's data can change."""

from collections.abc import Mapping
from typing import Any

from llamachat.errors import LlamaChatError
from llamachat.templates.budget import MAX_CHARS, MAX_DEPTH

MAX_VALUES = 1_000_000
LARGEST_BITS = 4096


def given(variables: Mapping[str, Any]) -> dict[str, Any]:
    """A copy. Raises LlamaChatError for what is not of JSON's types, too large, or nested too deep."""
    copied: dict[str, Any] = _Copy().value(variables, 0)
    return copied


class _Copy:
    """Counts while it copies: a value that is in itself has no end otherwise."""

    def __init__(self) -> None:
        self._n_values = self._n_chars = 0

    def value(self, value: Any, depth: int) -> Any:
        self._n_values += 1
        if depth > MAX_DEPTH or self._n_values > MAX_VALUES:
            limit = f"nests deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"has over {MAX_VALUES} values"
            raise LlamaChatError(f"This conversation {limit}, and no chat template is given such a one")
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int) and value.bit_length() <= LARGEST_BITS:
            return int(value)
        if isinstance(value, Mapping):
            return {self._key(key): self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        named = type(value).__name__ if not isinstance(value, int) else f"number of more than {LARGEST_BITS} bits"
        raise LlamaChatError(f"A chat template is given texts, numbers, lists and objects, but no {named}")

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise LlamaChatError(f"What a chat template is given has texts as names, but no {type(key).__name__}")
        return self._text(key)

    def _text(self, text: str) -> str:
        self._n_chars += len(text)
        if self._n_chars > MAX_CHARS:
            raise LlamaChatError(f"This conversation has more than {MAX_CHARS // 10**6} million characters")
        return str(text)
