"""What a model thought before its answer, and what of the answer was meant to be heard."""

import re

from llamachat.dialogue.thoughts import Thought, markers_of

REPLAYED = ("reasoning_content", "thinking", "reasoning")
"""Under these names templates look for what a model thought."""


def parted(text: str, template: str) -> tuple[str, str]:
    """(what was thought, what was said) of an answer, as the template marks thoughts."""
    markers = markers_of(template)
    if markers is None:
        return "", text
    thought = Thought(markers, inside=markers.opening not in text and markers.closing in text)
    pieces = [*thought.feed(text), *thought.finish()]
    thoughts, said = ("".join(piece for hidden, piece in pieces if hidden is kind) for kind in (True, False))
    return thoughts, said.lstrip("\n")


def spoken(text: str, template: str) -> str:
    """The answer without its thoughts; "" where it never came to an answer."""
    return parted(text, template)[1]


def replayed(text: str, template: str) -> dict[str, str]:
    """An answer as a template reads it in later turns; what becomes of the thoughts is the template's to say.

    Some look for them under a name, some for their end within the answer; the others are told the answer alone.
    """
    thoughts, said = parted(text, template)
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
