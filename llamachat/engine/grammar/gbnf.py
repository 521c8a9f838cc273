"""The parser of GBNF, llama.cpp's notation of grammars, to an abstract syntax tree.

    root  ::= "yes" | "no" | list          # the text begins here
    list  ::= "[" ( item "," )* item "]"
    item  ::= [a-z]{1,8} | [^\\x00-\\x7F]+ | .
    think ::= <think> !</think>* <[12]>    # tokens of the model: one, any but one, one by its number

A rule ends with its line, except inside parentheses, after `::=` and `|`, and before a line that begins with `|`.
Our own parser, for errors with a line, a column and a caret, and because a grammar is input: whatever it holds,
parsing it costs time in proportion to its length (finding its lexemes, a bounded time: `lexemes.py`) and never the
process.
"""

from __future__ import annotations

import re
from typing import NoReturn

from llamachat.engine.grammar.syntax import (
    EMPTY,
    LARGEST_CODE_POINT,
    Chars,
    Literal,
    Node,
    Reference,
    Repeat,
    Token,
    choice,
    complement,
    sequence,
    united,
)
from llamachat.errors import UsageError

LONGEST_TEXT = 250_000
MOST_RULES = 600
DEEPEST = 64
LARGEST_COUNT = 2000
SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-", "^": "^"}
HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}
OPERATORS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
LONGEST_TOKEN = 256
TOKEN_NUMBER = re.compile(r"<\[([0-9]{1,9})\]>")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_EXCERPT = 72


class GrammarSyntaxError(UsageError):
    """The text is not a grammar. `line` and `column` count from 1; the excerpt shows it."""

    def __init__(self, message: str, text: str, offset: int, name: str = "grammar") -> None:
        self.line = text.count("\n", 0, offset) + 1
        start = text.rfind("\n", 0, offset) + 1
        self.column = offset - start + 1
        shift = max(0, self.column - _EXCERPT + 12)
        shown = text[start:].split("\n", 1)[0][shift : shift + _EXCERPT].rstrip()
        excerpt = "".join(c if c.isprintable() else " " for c in shown)
        caret = " " * (self.column - 1 - shift) + "^"
        super().__init__(f"{name}:{self.line}:{self.column}: {message}", (excerpt, caret))


class Grammar:
    """Parsed rules by name, in the order of the text. places: where each rule and each reference stands first."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.rules: dict[str, Node] = {}
        self.places: dict[str, int] = {}
        self.first_uses: dict[str, int] = {}

    def error(self, message: str, offset: int) -> GrammarSyntaxError:
        """An error at a place of the text."""
        return GrammarSyntaxError(message, self.text, offset, self.name)


def parse_gbnf(text: str, name: str = "grammar") -> Grammar:
    """The rules of a grammar. Raises GrammarSyntaxError; what rules mean together is not looked at."""
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    grammar = Grammar(text, name)
    if len(text) > LONGEST_TEXT:
        raise grammar.error(f"a grammar has at most {LONGEST_TEXT} characters, this one {len(text)}", 0)
    parser = _Parser(grammar)
    while parser.skip_blank(lines=True):
        parser.rule()
    return grammar


class _Parser:
    """A recursive descent over the text; `at` is where it stands."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar, self._text, self.at = grammar, grammar.text, 0
        self._depth = 0

    def rule(self) -> None:
        """`name ::= alternatives`, to the end of its line."""
        start = self.at
        name = self._name("a rule begins with its name")
        if name in self._grammar.rules:
            self._fail(f"the rule {name!r:.60} is already defined", start)
        if len(self._grammar.rules) == MOST_RULES:
            self._fail(f"a grammar has at most {MOST_RULES} rules", start)
        self.skip_blank()
        if not self._take("::="):
            self._fail(f"'::=' must follow the name of the rule {name!r:.60}")
        self.skip_blank(lines=True)
        self._grammar.rules[name] = self._alternatives(inside=False)
        self._grammar.places[name] = start
        if self.at < len(self._text) and self._peek() != "\n":
            self._fail(self._unexpected())

    def skip_blank(self, lines: bool = False) -> bool:
        """Skip blanks and comments, with `lines` also line ends; False at the end of the text."""
        text, blank = self._text, " \t\r\n" if lines else " \t\r"
        while self.at < len(text):
            if text[self.at] == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            elif text[self.at] in blank:
                self.at += 1
            else:
                return True
        return False

    def _alternatives(self, inside: bool) -> Node:
        options = [self._sequence(inside)]
        while self._at_bar(inside):
            self.at += 1
            self.skip_blank(lines=True)
            options.append(self._sequence(inside))
        return choice(options)

    def _at_bar(self, inside: bool) -> bool:
        """Whether a `|` follows, maybe at the beginning of a later line."""
        before = self.at
        if self.skip_blank(lines=True) and self._peek() == "|":
            return True
        if not inside:
            self.at = before
        return False

    def _sequence(self, inside: bool) -> Node:
        parts: list[Node] = []
        while True:
            self.skip_blank(lines=inside)
            item = self._item()
            if item is None:
                return sequence(parts)
            parts.append(self._repeated(item))

    def _item(self) -> Node | None:
        """A literal, a class, `.`, a group or a name; None where none of them begins."""
        match self._peek():
            case '"':
                return self._literal()
            case "[":
                return self._class()
            case ".":
                self.at += 1
                return Chars(((0, LARGEST_CODE_POINT),))
            case "(":
                return self._group()
            case "<" | "!":
                return self._token()
            case character:
                return self._reference() if character in _NAME else None

    def _token(self) -> Node:
        start = self.at
        others = self._take("!")
        end = self._text.find(">", self.at, self.at + LONGEST_TOKEN)
        name = self._text[self.at : end + 1]
        if not name.startswith("<") or end < 0 or "\n" in name or name == "<>":
            self._fail("a token of the model is <its text> or <[its number]>, and any other !<...>", start)
        if name.startswith("<[") and not TOKEN_NUMBER.fullmatch(name):
            self._fail("the number of a token is written <[12]>", start)
        self.at = end + 1
        return Token(name, others)

    def _reference(self) -> Node:
        start = self.at
        name = self._name("")
        self._grammar.first_uses.setdefault(name, start)
        if self._follows_definition():
            self._fail(f"a rule begins on a line of its own: {name!r:.60}", start)
        return Reference(name)

    def _follows_definition(self) -> bool:
        here = self.at
        self.skip_blank()
        found = self._text.startswith("::=", self.at)
        self.at = here
        return found

    def _group(self) -> Node:
        start = self.at
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"parentheses nest deeper than {DEEPEST}")
        self.at += 1
        self.skip_blank(lines=True)
        node = self._alternatives(inside=True)
        if not self._take(")"):
            self._fail(self._unexpected() if self.at < len(self._text) else "this parenthesis is never closed", start)
        self._depth -= 1
        return node

    def _repeated(self, item: Node) -> Node:
        """The item with the operator behind it, if there is one."""
        self.skip_blank()
        start, bounds = self.at, self._operator()
        if bounds is None:
            return item
        self.skip_blank()
        if self._peek() in ("*", "+", "?", "{"):
            self._fail("one repetition directly after another: put the first into parentheses")
        least, most = bounds
        if most is not None and most < least:
            self._fail(f"at least {least} and at most {most} times is never", start)
        return EMPTY if most == 0 or item == EMPTY else item if bounds == (1, 1) else Repeat(item, least, most)

    def _operator(self) -> tuple[int, int | None] | None:
        if self._peek() in OPERATORS:
            self.at += 1
            return OPERATORS[self._text[self.at - 1]]
        if self._peek() != "{":
            return None
        start = self.at
        self.at += 1
        least = self._count()
        most = least
        if self._take(","):
            most = self._count()
            if least is None and most is None:
                self._fail("a repetition needs a number: {m}, {m,}, {m,n} or {,n}", start)
        elif least is None:
            self._fail("a repetition needs a number: {m}, {m,}, {m,n} or {,n}", start)
        if not self._take("}"):
            self._fail("a repetition is {m}, {m,}, {m,n} or {,n}", start)
        return least or 0, most

    def _count(self) -> int | None:
        """A number, blanks around it skipped; None where there is none."""
        self.skip_blank()
        start = self.at
        while self._peek() in tuple("0123456789"):
            self.at += 1
        digits = self._text[start : self.at]
        if len(digits.lstrip("0")) > 4 or (digits and int(digits) > LARGEST_COUNT):
            self._fail(f"repetitions count to {LARGEST_COUNT} at most", start)
        self.skip_blank()
        return int(digits) if digits else None

    def _literal(self) -> Node:
        start = self.at
        self.at += 1
        found: list[str] = []
        while self._peek() != '"':
            if self.at == len(self._text):
                self._fail("this literal is never closed", start)
            found.append(self._character())
        self.at += 1
        return Literal("".join(found)) if found else EMPTY

    def _class(self) -> Node:
        start = self.at
        self.at += 1
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while self._peek() != "]":
            if self.at == len(self._text):
                self._fail("this class is never closed", start)
            ranges.append(self._range(start))
        self.at += 1
        found = complement(tuple(ranges)) if negated else united(ranges)
        if not found:
            self._fail("no character is in this class", start)
        return Chars(found)

    def _range(self, start: int) -> tuple[int, int]:
        here = self.at
        first = last = ord(self._character())
        if self._peek() == "-" and self._text[self.at + 1 : self.at + 2] != "]":
            self.at += 1
            if self.at == len(self._text):
                self._fail("this class is never closed", start)
            last = ord(self._character())
        if last < first:
            self._fail("this range goes down", here)
        return first, last

    def _character(self) -> str:
        """One character of a literal or a class, as it stands or as an escape."""
        start, character = self.at, self._text[self.at]
        self.at += 1
        if character != "\\":
            if "\ud800" <= character <= "\udfff":
                self._fail("half of a character (a lone surrogate)", start)
            return character
        letter = self._peek()
        if letter not in SIMPLE_ESCAPES and letter not in HEX_ESCAPES:
            self._fail(r"escapes are \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH", start)
        self.at += 1
        return SIMPLE_ESCAPES.get(letter) or self._hexadecimal(start, HEX_ESCAPES[letter])

    def _hexadecimal(self, start: int, n_digits: int) -> str:
        digits = self._text[self.at : self.at + n_digits]
        if len(digits) < n_digits or any(c not in "0123456789abcdefABCDEF" for c in digits):
            self._fail(f"{n_digits} hexadecimal digits must follow", start)
        self.at += n_digits
        value = int(digits, 16)
        if value > LARGEST_CODE_POINT or 0xD800 <= value <= 0xDFFF:
            self._fail(f"U+{value:04X} is not a character", start)
        return chr(value)

    def _name(self, missing: str) -> str:
        start = self.at
        while self._peek() in _NAME:
            self.at += 1
        if self.at == start:
            self._fail(missing)
        return self._text[start : self.at]

    def _peek(self) -> str:
        """The next character, "" at the end."""
        return self._text[self.at : self.at + 1]

    def _take(self, text: str) -> bool:
        found = self._text.startswith(text, self.at)
        self.at += len(text) * found
        return found

    def _unexpected(self) -> str:
        return f"{self._peek()!r} cannot stand here"

    def _fail(self, message: str, offset: int | None = None) -> NoReturn:
        raise self._grammar.error(message, self.at if offset is None else offset)
