"""Addresses that a terminal makes links of (OSC 8): which terminals do, and which addresses they get."""

import os
import re
from urllib.parse import quote

LONGEST = 2000
"""Characters of an address that terminals take."""

ADDRESS = re.compile(r"https?://[^\s<>\"`|\x00-\x1f\x7f\u3000-\u303f\uff00-\uffef]+", re.IGNORECASE)
_SCHEME = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_BEHIND = ".,;:!?'*_~、。，．！？：；）」』】"
_PAIRS = {")": "(", "]": "[", "}": "{"}

_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio", "WarpTerminal"})
_TERMS = ("xterm-kitty", "xterm-ghostty", "foot", "alacritty", "contour", "wezterm")
_VTE, _KONSOLE = 5000, 201200


def knows_links() -> bool:
    """Whether the terminal is one of those that are known for it; within tmux and screen none is.

    FORCE_HYPERLINK says yes or, as 0, no.
    """
    there = os.environ
    if forced := there.get("FORCE_HYPERLINK"):
        return forced != "0"
    if "TMUX" in there or "STY" in there or there.get("TERM", "dumb") in ("", "dumb", "unknown", "linux"):
        return False
    return (
        there.get("TERM_PROGRAM") in _PROGRAMS
        or there["TERM"].startswith(_TERMS)
        or "WT_SESSION" in there
        or "KITTY_WINDOW_ID" in there
        or _number("VTE_VERSION") >= _VTE
        or _number("KONSOLE_VERSION") >= _KONSOLE
    )


def link_to(address: str) -> str:
    """The address as OSC 8 takes it: a web page or mail, in printable ASCII; "" for all others."""
    if not _SCHEME.match(address) or not knows_links():
        return ""
    safe = quote(address, safe="!#$%&'()*+,/:;=?@[]~-._")
    return safe if len(safe) <= LONGEST else ""


def addresses_in(text: str) -> list[tuple[int, int]]:
    """Where addresses stand in running text, without the marks of the sentence behind them."""
    return [(found.start(), found.start() + len(_address(found[0]))) for found in ADDRESS.finditer(text)]


def _address(text: str) -> str:
    while text:
        last = text[-1]
        if last in _BEHIND or (last in _PAIRS and text.count(last) > text.count(_PAIRS[last])):
            text = text[:-1]
        else:
            break
    return text


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else 0
