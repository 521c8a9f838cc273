r"""Escapes in texts that are given on a command line or typed: \n for a line break, and so on, as llama.cpp's `-e`."""

import re

SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "'": "'", '"': '"', "\\": "\\"}
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)


def unescaped(text: str) -> str:
    r"""The text with \n, \r, \t, \', \", \\ and \xHH (a byte of UTF-8) put in; any other \c stays two characters."""
    return ESCAPE.sub(_replacement, text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _replacement(match: re.Match[str]) -> str:
    digits, letter = match.groups()
    if digits is not None:
        return bytes([int(digits, 16)]).decode("utf-8", "surrogateescape")
    return SIMPLE.get(letter, f"\\{letter}")
