"""Whether a person agrees to a command, and the command as it runs: no blank, no line break, no word can hide."""

import re
from collections.abc import Sequence

from llamachat.dialogue.tools.using import Agreement
from llamachat.terminal.echo import answer_to

BLANK_LETTERS = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Letters and marks that are drawn as nothing."""

QUOTED = "\\'"
ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./{}-]+")
_BLANKS = re.compile(r"^ +|  +| +$")


ANSWERS = {"y": Agreement.YES, "yes": Agreement.YES, "a": Agreement.ALWAYS, "always": Agreement.ALWAYS}


def asked(words: Sequence[str]) -> Agreement:
    """What the person on the terminal answers to a command."""
    return ANSWERS.get(answer_to(question_of(words)), Agreement.NO)


def question_of(words: Sequence[str]) -> str:
    """What a person is asked before a command runs."""
    return f"Run this command?\n  {shown_words(words)}\n[y]es, [n]o, [a]lways for this tool in this chat: "


def shown_words(words: Sequence[str]) -> str:
    """A command in a shell's notation, which says where each word begins and ends and what is in it."""
    return " ".join(_quoted(word) for word in words)


def visible(text: str) -> str:
    """A text on one line, in which everything that is drawn as nothing, or moves what is drawn, is spelled out."""
    return _spelled(text, "")


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    if visible(word) == word and "'" not in word:
        return f"'{word}'"
    return f"$'{_spelled(word, QUOTED)}'"


def _spelled(text: str, escaped: str) -> str:
    """A text with escapes for what is not drawn, for runs of blanks, and for the characters `escaped`."""
    spelled = "".join(char if _is_drawn(char) and char not in escaped else _escaped(char) for char in text)
    return _BLANKS.sub(lambda blanks: "\\x20" * len(blanks[0]), spelled)


def _is_drawn(char: str) -> bool:
    return char.isprintable() and char not in BLANK_LETTERS


def _escaped(char: str) -> str:
    code = ord(char)
    if char in ESCAPES:
        return ESCAPES[char]
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
