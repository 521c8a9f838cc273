"""The lists of a vocabulary while they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llamachat.engine.tokenizers.vocabulary import PREFIX, Kind
from llamachat.errors import ModelFileError

__all__ = ["PREFIX", "Lists", "looks_special"]

ADDED_SCORE: Final = -1000.0
UNUSED_SCORE: Final = -10000.0
MOST_TOKENS: Final = 1 << 23


@dataclass
class Lists:
    """model: `tokenizer.ggml.model`; pre likewise, "" for none; more: further keys of the family."""

    model: str
    texts: list[str] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    scores: list[float] | None = None
    merges: list[str] | None = None
    pre: str = ""
    more: dict[str, object] = field(default_factory=dict)

    def put(self, number: int, text: str, kind: Kind, score: float = 0.0) -> None:
        """Sets a token; tokens before it that are not there yet are unused. Raises ModelFileError for a wild number."""
        if not 0 <= number < MOST_TOKENS:
            raise ModelFileError(f"the token {text!r:.40} has the number {number}", "tokenizer.json")
        self.fill(number + 1)
        self.texts[number], self.kinds[number] = text, kind
        if self.scores is not None:
            self.scores[number] = score

    def fill(self, size: int) -> None:
        """Unused tokens up to a size: models have rows for them."""
        for number in range(len(self.texts), min(size, MOST_TOKENS)):
            self.texts.append(f"[PAD{number}]")
            self.kinds.append(Kind.UNUSED)
            if self.scores is not None:
                self.scores.append(UNUSED_SCORE)

    def add(self, tokens: Iterable[Mapping[str, Any]]) -> None:
        """Tokens that were added to a vocabulary: `id`, `content`, `special`. Raises ModelFileError without these."""
        for token in tokens:
            number, text = token.get("id"), token.get("content")
            if not isinstance(number, int) or not isinstance(text, str):
                raise ModelFileError("an added token has no number or no text", "tokenizer.json")
            is_control = token.get("special") or looks_special(text)
            kind = Kind.CONTROL if is_control else Kind.USER_DEFINED
            if number < len(self.kinds) and self.kinds[number] == Kind.UNKNOWN:
                kind = Kind.UNKNOWN
            self.put(number, text if is_control else text.replace("\u2581", " "), kind, ADDED_SCORE)


def looks_special(text: str) -> bool:
    """Whether a token is one of control although the file does not say so, as in models of Cohere, DeepSeek, Google."""
    if text in ("<pad>", "<mask>", "<2mass>", "[@BOS@]"):
        return True
    ends = (("<|", "|>"), ("<｜", "｜>"), ("<unused", ">"))
    return any(text.startswith(first) and text.endswith(last) for first, last in ends)
