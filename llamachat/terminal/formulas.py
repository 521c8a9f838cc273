r"""Formulas in Markdown: what stands between `$`, `$$`, `\(` and `\)`, `\[` and `\]`, or `\begin` and `\end`.

They are shown as they were written: read as Markdown they would lose backslashes, stars and underscores. Prices are no
formulas: a `$` opens one only where no space follows it and none stands before the `$` that closes it, and no digit
may follow that one, as in Pandoc (extension tex_math_dollars). A formula that has begun and does not end, because it
still comes or was cut, is one as soon as it looks like one.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

FORMULA = "formula"

LONGEST = 4000
"""Characters in which the end of a formula, or a sign that it is one, is looked for."""

MOST_LINES = 60
"""Lines of a formula at most."""

_CLOSING = {"$$": "$$", r"\(": r"\)", r"\[": r"\]"}
_BEGIN = re.compile(r"\\begin\{([A-Za-z]+\*?)\}")
_SURE = re.compile(r"\\[A-Za-z]|[\^_]\S|\\\\|\\[,;:!]")
"""What only formulas have."""

_DOLLAR = re.compile(r"\$(?![\s$])((?:[^$\\`\n]|\\.|\n(?!\s*\n))*?)(?<![\s\\])\$(?![\d$])", re.DOTALL)
_SPACED = re.compile(r"\$ ((?:[^$\\`\n]|\\.)+?) \$(?![\d$])")
_OPEN_DOLLAR = re.compile(r"\$(?![\s$\d])[^$`\n]*\Z")
_END = re.compile(r"\s*[.,;:]?\s*")


def closing_of(text: str, at: int = 0) -> str:
    """What closes the formula that begins there with more than one character; "" where none does."""
    if text.startswith("$$$", at):
        return ""
    found = _BEGIN.match(text, at)
    return rf"\end{{{found[1]}}}" if found else _CLOSING.get(text[at : at + 2], "")


def formula_end(text: str, at: int, last: int | None = None) -> int:
    """Where the formula that begins there ends; `at` where there is none. last: the text's end, if it is earlier."""
    last = len(text) if last is None else last
    if at and text[at - 1 : at + 1] == "$$":
        return at
    if closing := closing_of(text, at):
        end = find_closing(text, closing, at + 2, min(last, at + LONGEST))
        if end < 0:
            end = _unfinished(text, at, last)
        return end
    if text[at] != "$":
        return at
    is_amount = at > 0 and text[at - 1].isalnum()  # 5$, US$5
    for pattern in (_DOLLAR, _SPACED):
        found = pattern.match(text, at, min(last, at + LONGEST))
        if found and ((pattern is _DOLLAR and not is_amount) or _SURE.search(found[1])):
            return found.end()
    found = _OPEN_DOLLAR.match(text, at, last)
    return last if found and not is_amount and _SURE.search(found[0]) else at


def find_closing(text: str, closing: str, at: int, last: int) -> int:
    """Behind the first closing mark that no other backslash makes something else; -1 where there is none."""
    while (found := text.find(closing, at, last)) >= 0:
        n_before = 0
        while closing[0] == "\\" and text[found - n_before - 1] == "\\" and found - n_before > at:
            n_before += 1
        if n_before % 2 == 0:
            return found + len(closing)
        at = found + 1
    return -1


def kept_in_row(row: str) -> str:
    r"""A row of a table whose formulas keep the backslash of `\|`, which the table would take from them."""
    if "\\|" not in row:
        return row
    parts, at = [], 0
    while at < len(row):
        end = formula_end(row, at) if row[at] in "$\\" else at
        parts.append(row[at:end].replace("\\|", "\\\\|") if end > at else row[at])
        at = max(end, at + 1)
    return "".join(parts)


def read_formulas(parser: MarkdownIt) -> None:
    """Lets a parser find them."""
    parser.inline.ruler.before("escape", FORMULA, _inline)
    parser.block.ruler.before(
        "fence", FORMULA, _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )  # fmt: skip


def _unfinished(text: str, at: int, last: int) -> int:
    line = text.find("\n", at, last)
    end = last if text.startswith(("$$", r"\[", r"\begin"), at) or line < 0 else line
    return end if _SURE.search(text, at + 2, min(end, at + LONGEST)) else at


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    end = formula_end(state.src, state.pos, state.posMax)
    if end <= state.pos:
        return False
    if not silent:
        state.push(FORMULA, "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A formula that has lines of its own."""
    begun, end = state.bMarks[first] + state.tShift[first], state.eMarks[first]
    closing = closing_of(state.src[begun:end])
    if not closing or closing == r"\)" or state.is_code_block(first):
        return False
    closed = find_closing(state.src, closing, begun + 2, end)
    if closed >= 0 and not _END.fullmatch(state.src, closed, end):
        return False  # the paragraph continues after it
    line, found = first, closed >= 0
    while not found:
        line += 1
        if line >= min(last, first + MOST_LINES) or (state.sCount[line] < state.blkIndent and not state.isEmpty(line)):
            break
        found = find_closing(state.src, closing, state.bMarks[line], state.eMarks[line]) >= 0
    behind = line + found
    content = state.getLines(first, behind, state.blkIndent, False)
    alone = state.src[begun:end].strip() in _CLOSING
    if not found and not alone and not _SURE.search(content, 2):
        return False
    if not silent:
        token = state.push(f"{FORMULA}_block", "", 0)
        token.content = content
        state.line = behind
    return True
