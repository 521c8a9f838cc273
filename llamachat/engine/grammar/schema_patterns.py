"""The patterns of JSON schemas: ECMA-262 with its flag u, written anew so that Rust's dialect reads the same.

llguidance reads patterns as Rust's regular expressions, in which `[a&&b]`, `[[:alpha:]]`, `(?i)`, `\\A`, `\\s` and `.`
mean something else. So every character but letters and digits leaves here as its number, every class as ranges. What
the dialects of ECMA-262 itself read differently (`[`, `&&`, `--` and `~~` in a class are its flag v) is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NoReturn
from unicodedata import category

from llamachat.engine.grammar.syntax import SURROGATES, Ranges, complement, united

LONGEST_PATTERN = 20_000
DIGITS: Ranges = ((0x30, 0x39),)
WORD = united([*DIGITS, (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
LINE_ENDS = united([(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)])
BLANKS = united(
    [(0x09, 0x0D), *((c, c) for c in (0x20, 0xA0, 0x1680, 0x202F, 0x205F, 0x3000, 0xFEFF)), (0x2000, 0x200A),
     (0x2028, 0x2029)]
)  # fmt: skip
CLASSES = {"d": DIGITS, "w": WORD, "s": BLANKS}
CLASSES |= {name.upper(): complement(ranges) for name, ranges in CLASSES.items()}
CONTROLS = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D, "0": 0x00}
NUMBERED = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
PAIR = re.compile(r"u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
CATEGORY = re.compile(r"([pP])\{(?:gc=|General_Category=)?([A-Z][A-Za-z_]*)\}")
CATEGORIES = {
    "Letter": "L", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt",
    "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc",
    "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "Letter_Number": "Nl", "Other_Number": "No",
    "Punctuation": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd", "Open_Punctuation": "Ps",
    "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi", "Final_Punctuation": "Pf", "Other_Punctuation": "Po",
    "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Other_Symbol": "So",
    "Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Other": "C",
    "Control": "Cc", "Format": "Cf", "Private_Use": "Co", "Unassigned": "Cn",
}  # fmt: skip
PUNCTUATION = frozenset("^$\\.*+?()[]{}|/-_ !\"#%&',:;<=>@`~")
"""What `\\` makes literal. ECMA-262 has the first fourteen with the flag u, all without it."""

COUNT = re.compile(r"[*+?]|\{[0-9]+(?:,[0-9]*)?\}")
SETS = ("&&", "--", "~~")


class PatternError(ValueError):
    """A pattern is not ECMA-262, or not enforced."""


@lru_cache(maxsize=1024)
def rust_pattern(pattern: str) -> str:
    """The same pattern in Rust's dialect. Raises PatternError with what is not supported, and where."""
    if len(pattern) > LONGEST_PATTERN:
        raise PatternError(f"has {len(pattern)} characters, and is supported up to {LONGEST_PATTERN}")
    return _Pattern(pattern).whole()


class _Pattern:
    """Reads a pattern from left to right; groups may be left open, which llguidance tells."""

    def __init__(self, pattern: str) -> None:
        self._text, self._at = pattern, 0

    def whole(self) -> str:
        """The pattern in Rust's dialect."""
        parts: list[str] = []
        while self._at < len(self._text):
            parts.append(self._term())
        return "".join(parts)

    def _term(self) -> str:
        """A bracket, a bar or an anchor; else what stands for characters, with its count."""
        start = self._text[self._at]
        if start == "(":
            return self._group()
        if start in "|^$":
            self._at += 1
            return start
        atom = ")" if start == ")" else self._atom(start)
        self._at += start == ")"
        return atom + self._count()

    def _group(self) -> str:
        plain = self._text.startswith("(?:", self._at)
        if not plain and self._text.startswith("(?", self._at):
            self._refuse("(? is supported only as (?:", 3)
        self._at += 3 if plain else 1
        return "(?:"

    def _atom(self, start: str) -> str:
        """One character or class."""
        if start == "[":
            return self._class()
        if COUNT.match(self._text, self._at):
            self._refuse("there is nothing before it that could be repeated", 1)
        if start == "{":
            self._refuse("a { that begins no count must be written \\{", 1)
        if start == "\\":
            return written(self._escape(inside=False))
        self._at += 1
        return written(complement(LINE_ENDS) if start == "." else self._one(start))

    def _count(self) -> str:
        found = COUNT.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end() + self._text.startswith("?", found.end())
        if COUNT.match(self._text, self._at):
            self._refuse("a count follows another", 1)
        return found[0]

    def _class(self) -> str:
        """`[...]`, with its end."""
        self._at += 1
        negated = self._text.startswith("^", self._at)
        self._at += negated
        found: list[tuple[int, int]] = []
        while not self._text.startswith("]", self._at):
            found += self._range()
        self._at += 1
        ranges = complement(united(found)) if negated else united(found)
        if not ranges or not found:
            self._refuse("a class must not be empty", 0)
        return written(ranges)

    def _range(self) -> Ranges:
        """One character, class escape or range inside of a class."""
        first = self._member()
        rest = self._text[self._at : self._at + 2]
        if not rest.startswith("-") or rest in ("-", "-]", "--"):
            return first
        self._at += 1
        last = self._member()
        if not _is_one(first) or not _is_one(last) or first > last:
            self._refuse("this is not a range from one character to a later one", 0)
        return ((first[0][0], last[0][0]),)

    def _member(self) -> Ranges:
        if self._at >= len(self._text):
            self._refuse("a class has no end", 0)
        start = self._text[self._at]
        if start == "[":
            self._refuse("a [ in a class must be written \\[", 1)
        if self._text.startswith(SETS, self._at):
            self._refuse("the operations of classes are not supported: write \\ before each sign", 2)
        if start == "\\":
            return self._escape(inside=True)
        self._at += 1
        return self._one(start)

    def _escape(self, *, inside: bool) -> Ranges:
        """What `\\` and what follows stand for. inside: of a class."""
        name = self._text[self._at + 1 : self._at + 2]
        two = self._text[self._at + 2 : self._at + 3]
        pair, numbered = PAIR.match(self._text, self._at + 1), NUMBERED.match(self._text, self._at + 1)
        found = pair or numbered
        if found is not None:
            self._at = found.end()
            return self._one(_joined(pair[1], pair[2]) if pair else _character(found[found.lastindex or 0]))
        if name == "c" and two.isascii() and two.isalpha():
            self._at += 3
            return ((ord(two) % 32, ord(two) % 32),)
        property_ = CATEGORY.match(self._text, self._at + 1)
        if property_ is not None and (named := of_category(CATEGORIES.get(property_[2], property_[2]))):
            self._at = property_.end()
            return complement(named) if property_[1] == "P" else named
        ranges = CLASSES.get(name)
        if name in CONTROLS and not (name == "0" and two.isdecimal()):
            ranges = ((CONTROLS[name], CONTROLS[name]),)
        if name == "b" and inside:
            ranges = ((0x08, 0x08),)
        if ranges is None and name not in PUNCTUATION:
            self._refuse("this escape is not supported", 2)
        self._at += 2
        return ranges or self._one(name)

    def _one(self, character: str) -> Ranges:
        code = ord(character) if len(character) == 1 else SURROGATES[0]
        if SURROGATES[0] <= code <= SURROGATES[1]:
            self._refuse("this is half a character, or none", 0)
        return ((code, code),)

    def _refuse(self, message: str, n: int) -> NoReturn:
        shown = f" ({self._text[self._at : self._at + n]})" if n else ""
        raise PatternError(f"{self._text!r:.60} is not supported: character {self._at + 1}{shown}: {message}")


@lru_cache(maxsize=64)
def of_category(name: str) -> Ranges:
    """The characters of a general category of Unicode (`L`, `Lu`); () where there is none of this name."""
    codes = range(0x110000)
    return united([(c, c) for c in codes if (kind := category(chr(c))).startswith(name) and kind != "Cs"])


def _is_one(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _character(digits: str) -> str:
    """The character of a hexadecimal number, "" where there is none."""
    code = int(digits, 16)
    return chr(code) if code <= 0x10FFFF else ""


def _joined(high: str, low: str) -> str:
    """The character of two surrogates."""
    return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))


def written(ranges: Ranges) -> str:
    """One character out of ranges, in Rust's dialect."""
    if _is_one(ranges):
        return _number(ranges[0][0])
    return f"[{''.join(f'{_number(first)}-{_number(last)}' for first, last in ranges)}]"


def _number(code: int) -> str:
    """A character as it is where it is a letter or digit, else as its number."""
    plain = chr(code)
    return plain if plain.isascii() and plain.isalnum() else f"\\x{{{code:X}}}"
