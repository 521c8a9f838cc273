"""What went wrong in a template, in words: templates are other people's programs, so that can be anything."""

from __future__ import annotations

from typing import Literal

LONGEST_REASON = 300
TEMPLATE_FILE = "<template>"

Kind = Literal["syntax", "invalid", "stopped", "refuses", "fails"]


class TemplateFault(Exception):
    """A template that is no Jinja (syntax, invalid), was stopped, refuses what it was given, or fails on it.

    line: the template's line, 0 if unknown. `str()` is the reason; of "stopped" it is a whole sentence.
    """

    def __init__(self, kind: Kind, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.kind, self.line = kind, line


def template_line(error: BaseException) -> int:
    """The template's line that raised `error` (Jinja puts it into the traceback); 0 if unknown."""
    line, place = 0, error.__traceback__
    while place is not None:
        if place.tb_frame.f_code.co_filename == TEMPLATE_FILE:
            line = place.tb_lineno
        place = place.tb_next
    return line


def one_line(error: object) -> str:
    """The error's message in one line of bearable length."""
    return " ".join(str(error).split())[:LONGEST_REASON]
