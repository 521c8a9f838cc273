"""A model's thoughts, as known before its answer begins: how they are marked, and whether one has begun."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llamachat.dialogue.thoughts import Markers, markers_of
from llamachat.engine.events import Event, Token

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer

TAIL = 16
"""The marker that opens a thought has at most this many tokens."""


@dataclass(frozen=True)
class Thinking:
    """markers: None where the model marks no thoughts. inside: the prompt ends within one.

    spelled: the markers that are control tokens, which print nothing.
    """

    markers: Markers | None = None
    inside: bool = False
    spelled: Mapping[int, str] = field(default_factory=dict)

    def text_of(self, event: Event) -> str:
        """The text that an event sets free, with the marker that it is."""
        return event.text + (self.spelled.get(event.id, "") if isinstance(event, Token) else "")

    def whole(self, text: str) -> str:
        """An answer with the marker that opens its thought, where the prompt has it."""
        if self.markers is None or not self.inside or text.lstrip().startswith(self.markers.opening.rstrip()):
            return text
        return self.markers.opening + text

    def spell(self, text: str, tokenizer: "Tokenizer") -> list[int]:
        """The tokens of an answer that `whole` gave; only the markers of its thoughts may be control tokens."""
        if self.markers is not None and self.inside and text.startswith(self.markers.opening):
            text = text.removeprefix(self.markers.opening)
        markers = {marker: token for token, marker in self.spelled.items()}
        pattern = "|".join(map(re.escape, markers)) or "(?!)"
        return [
            token
            for piece in re.split(f"({pattern})", text)
            for token in ([markers[piece]] if piece in markers else _spelled(piece, tokenizer))
        ]


def _spelled(text: str, tokenizer: "Tokenizer") -> list[int]:
    """The tokens of a text that follows others: some tokenizers put a blank before a first word."""
    ids = tokenizer.encode(text, add_special=False)
    if text and tokenizer.decode(ids) != text:
        behind = tokenizer.encode(f"\n{text}", add_special=False)[len(tokenizer.encode("\n", add_special=False)) :]
        return behind if tokenizer.decode(behind) == text else ids
    return ids


def thinking_of(template: str, tokenizer: "Tokenizer", prompt: Sequence[int]) -> Thinking:
    """What is known of an answer to a prompt, made by a chat template."""
    markers = markers_of(template)
    if markers is None:
        return Thinking()
    return Thinking(markers, ends_within(markers, tokenizer, prompt), spellings(markers, tokenizer))


def spellings(markers: Markers, tokenizer: "Tokenizer") -> dict[int, str]:
    """The control tokens of the markers, which print nothing, and how they are spelled."""
    ids = {token for text in (markers.opening, markers.closing)
           for token in tokenizer.encode(text, add_special=False, parse_special=True)}  # fmt: skip
    return {token: tokenizer.decode([token], special=True) for token in sorted(ids) if not tokenizer.piece_bytes(token)}


def ends_within(markers: Markers | None, tokenizer: "Tokenizer", prompt: Sequence[int]) -> bool:
    """Whether a prompt ends with the marker that opens a thought."""
    if markers is None:
        return False
    pieces = [tokenizer.piece_bytes(token, special=True) for token in prompt[-TAIL:]]
    return b"".join(pieces).decode("utf-8", "replace").rstrip().endswith(markers.opening.rstrip())
