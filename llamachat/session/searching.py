"""Full-text search in messages: how texts are prepared for the index, and its queries.

SQLite's index separates words at spaces and punctuation. Chinese, Japanese, Thai and some others have no spaces between
words, and Korean appends particles: there each character is indexed as a word, and a search term is a phrase of such
words. So a term is found anywhere, also next to Latin letters, and with a single character.
"""

import re

from llamachat.errors import UsageError
from llamachat.session.records import storable

MOST_WORDS = 64
"""Words that are looked for at once."""

MARK = "\x1f"
"""Between two characters that are words of the index: it is in no text that a person sees."""

SCRIPTS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Chinese characters
    "\U0001b000-\U0001b16f\U00020000-\U000323af"
    "\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff\uff66-\uff9f"  # kana, bopomofo
    "\ua000-\ua48c"  # Yi
    "\uac00-\ud7a3"  # Korean
)
MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d"
    "\u17b4-\u17d3\u17dd\u3099\u309a\uff9e\uff9f"
)
"""Vowels and tones that belong to the character before them."""

_CHARACTER = re.compile(f"[{SCRIPTS}][{MARKS}]*")
_RUN = re.compile(f"(?:[{SCRIPTS}][{MARKS}]*)+")


def spaced(text: str) -> str | None:
    """The text with a separator around each character that is a word of its own; None if it has none."""
    if text.isascii() or _CHARACTER.search(text) is None:
        return None
    return _RUN.sub(lambda run: f"{MARK}{MARK.join(_CHARACTER.findall(run.group()))}{MARK}", text)


def query_of(text: str) -> str:
    """The index query for messages with all the words; `word*` is a prefix.

    Raises UsageError for no word, and for more than MOST_WORDS.
    """
    words = [word for word in storable(text).replace("\0", " ").split() if word.strip("*")]
    if not words:
        raise UsageError("there is nothing to look for: give one word at least")
    if len(words) > MOST_WORDS:
        raise UsageError(f"{len(words)} words are too many to look for at once: give {MOST_WORDS} at most")
    return " ".join(map(_quoted, words))


def excerpt_words(query: str) -> int:
    """How many words of the index an excerpt has: of characters that are words, a few times as many."""
    return 40 if MARK in query else 12


def excerpt_of(text: str | None) -> str:
    """An excerpt of the index, without its marks."""
    return (text or "").replace(MARK, "")


def _quoted(word: str) -> str:
    """A word as SQLite's full-text search takes it."""
    text = word.rstrip("*")
    quoted = (spaced(text) or text).replace('"', '""')
    return f'"{quoted}"*' if word.endswith("*") else f'"{quoted}"'
