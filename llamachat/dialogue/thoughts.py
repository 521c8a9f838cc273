"""How models mark their thoughts, and thoughts and answer separated: in pieces as they come, and in whole answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Markers:
    """Between these texts a model thinks."""

    opening: str
    closing: str

    def opens(self, text: str, at: int = 0) -> int:
        """Where a thought begins from `at` on: the place of its opening marker, -1 for none."""
        return text.find(self.opening, at)

    def closes(self, text: str, at: int = 0) -> int:
        """Where a thought ends from `at` on: the place of its closing marker, -1 for none."""
        return text.find(self.closing, at)

    def after(self, text: str, at: int) -> int:
        """The place after the end of a thought that is open at `at`; the text's end where it does not end."""
        end = self.closes(text, at)
        return end + len(self.closing) if end >= 0 else len(text)


KNOWN = (
    Markers("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"),
    Markers("<think>", "</think>"),
    Markers("<thinking>", "</thinking>"),
    Markers("<thought>", "</thought>"),
    Markers("<seed:think>", "</seed:think>"),
    Markers("[THINK]", "[/THINK]"),
    Markers("<|START_THINKING|>", "<|END_THINKING|>"),
    Markers("<|inner_prefix|>", "<|inner_suffix|>"),
    Markers("<|channel>thought\n", "<channel|>"),
    Markers("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    Markers("<reasoning>", "</reasoning>"),
    Markers("<think:opensource>", "</think:opensource>"),
    Markers("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
)

REPLAYED = ("reasoning_content", "thinking", "reasoning")
"""Names under which templates look for thoughts."""


def markers_of(template: str) -> Markers | None:
    """The markers that a chat template knows; None where it knows none. A template may know one of the two only."""
    template = template.replace("\\n", "\n")
    both = (one for one in KNOWN if one.opening in template and one.closing in template)
    either = (one for one in KNOWN if one.opening in template or one.closing in template)
    return next(both, None) or next(either, None)


class Thought:
    """Tells thinking from answering in a text that comes in pieces. A marker may be cut anywhere.

    A thought begins the text: the opening marker within an answer is text. inside: the text begins within the thought,
    whose opening may come nevertheless.
    """

    def __init__(self, markers: Markers, inside: bool) -> None:
        self._markers, self.inside, self._held = markers, inside, ""
        self._may_open, self._may_close = True, inside

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """(whether it is a thought, text) of what is decided."""
        self._held += text
        found: list[tuple[bool, str]] = []
        if self._may_open:
            self._look_for_opening()
        if not self._may_open and self.inside and self._may_close:
            found.append(self._up_to_closing())
        if not self._may_open and not self.inside:
            found.append((False, self._held))
            self._held = ""
        return [(thought, piece) for thought, piece in found if piece]

    def finish(self) -> list[tuple[bool, str]]:
        """What was held back at the end."""
        held, self._held = self._held, ""
        return [(self.inside, held)] if held else []

    def _look_for_opening(self) -> None:
        opening, said = self._markers.opening, self._held.lstrip()
        if said.startswith(opening):
            self._held = said[len(opening) :]
            self.inside = self._may_close = True
        self._may_open = opening.startswith(said) and said != opening

    def _up_to_closing(self) -> tuple[bool, str]:
        closing, held = self._markers.closing, self._held
        at = self._markers.closes(held)
        end = at if at >= 0 else len(held) - overlap(held, (closing,))
        self._held = held[end:] if at < 0 else held[at + len(closing) :]
        self.inside = at < 0
        return True, held[:end]


def overlap(text: str, marks: Sequence[str]) -> int:
    """How many characters at the text's end may be the beginning of one of the marks."""
    longest = max(map(len, marks), default=0)
    lengths = range(min(len(text), longest), 0, -1)
    return next((n for n in lengths if any(mark.startswith(text[-n:]) for mark in marks)), 0)


def split_thoughts(text: str, template: str) -> tuple[str, str]:
    """(thoughts, answer) of a whole answer, as the template marks thoughts."""
    markers = markers_of(template)
    if markers is None:
        return "", text
    thought = Thought(markers, inside=markers.opening not in text and markers.closing in text)
    pieces = [*thought.feed(text), *thought.finish()]
    thoughts, said = ("".join(piece for hidden, piece in pieces if hidden is kind) for kind in (True, False))
    return thoughts, said.lstrip("\n")


def without_thoughts(text: str, template: str) -> str:
    """The answer without its thoughts; "" where it has nothing else."""
    return split_thoughts(text, template)[1]


def replayed(text: str, template: str) -> dict[str, str]:
    """An answer as a template reads it in later turns; the template decides what becomes of the thoughts.

    Some look for thoughts under a name, some for their end within the answer; the others get the answer alone.
    """
    thoughts, said = split_thoughts(text, template)
    if not thoughts and said == text.lstrip("\n"):
        return {"content": text}
    named = [name for name in REPLAYED if re.search(rf"\w(\.|\[['\"]){name}\b", template)]
    if named:
        return {"content": said, **dict.fromkeys(named, thoughts)}
    return {"content": text if _looks_for_end(template) else said}


def _looks_for_end(template: str) -> bool:
    """Whether a template takes thoughts out of an answer by itself."""
    markers = markers_of(template)
    closing = re.escape(markers.closing) if markers is not None else "(?!)"
    return re.search(rf"""split\(\s*['"]{closing}|['"]{closing}['"]\s+(not\s+)?in\b""", template) is not None
