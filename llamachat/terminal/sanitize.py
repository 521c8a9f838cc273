"""Removes control bytes from texts of models, files and networks before they reach a terminal.

A terminal obeys escape sequences wherever they come from: OSC 52 writes the clipboard, others retitle the window or
answer as if typed. rich passes them through, so everything foreign goes through `clean` first.
"""

import re

_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\\\|\x9c)"  # OSC, DCS, ...
    "|\x1b[ -/]*[0-~]"  # two characters, and the openings of what never closes
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """The text without C0 (except newline and tab), DEL, C1, whole escape sequences and bidirectional overrides.

    A surrogate, which an undecodable file name leaves behind and no encoder takes, becomes U+FFFD.
    Source of the sequences: ECMA-48, section 5.
    """
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", _SEQUENCE.sub("", text)))


def clean_line(text: str) -> str:
    """The cleaned text as one line: every run of white space is one space."""
    return " ".join(clean(text).split())
