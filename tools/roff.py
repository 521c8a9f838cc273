"""The manual as a man page: the Markdown that `make_cli_docs.py` writes, in the macros of man(7).

Only what that manual has is understood: headings, paragraphs, lists with one level, tables, blocks of code, and bold,
italic and code within a line.
"""

import re
from collections.abc import Iterator

_SPAN = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|\*([^*]+)\*")
_ITEM = re.compile(r"- (`[^`]+`(?: \(`[^`]+`\))?): (.*)", re.DOTALL)


def roff(markdown: str, name: str, version: str) -> str:
    """The man page `name`(1) of a manual whose first heading is its title."""
    lines = [f'.TH {name.upper()} 1 "" "{name} {version}" "User Commands"', ".ad l", ".nh"]
    for block in _blocks(markdown):
        lines += _block(block)
    return "\n".join(lines) + "\n"


def _blocks(markdown: str) -> Iterator[list[str]]:
    """The lines between empty ones; the title, and what says how the file is made, are left out."""
    block: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        if line.strip():
            block.append(line)
        elif block:
            if not block[0].startswith(("# ", "Made by ")):
                yield block
            block = []


def _block(block: list[str]) -> Iterator[str]:
    first = block[0]
    if first.startswith("## "):
        yield f".SH {_quoted(first.removeprefix('## ').upper())}"
    elif re.fullmatch(r"\*\*[^*]+\*\*", first) and len(block) == 1:
        yield f".SS {_quoted(first.strip('*'))}"
    elif first.startswith("    "):
        yield from [".PP", ".RS 4", ".nf", *(_escaped(line[4:]) for line in block), ".fi", ".RE"]
    elif first.startswith("|"):
        yield from _table(block)
    elif first.startswith("- "):
        yield from _list(block)
    else:
        yield from [".PP", re.sub(r"^(llamachat): ", r"\1 \\- ", _spans(" ".join(block)))]


def _table(block: list[str]) -> Iterator[str]:
    for row in block[2:]:
        first, *rest = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]
        yield from [".TP", _spans(first), _spans("; ".join(rest))]


def _list(block: list[str]) -> Iterator[str]:
    for item in re.split(r"\n(?=- )", "\n".join(block)):
        text = " ".join(item.split())
        found = _ITEM.fullmatch(text)
        if found:
            yield from [".TP", _spans(found[1]), _spans(found[2])]
        else:
            yield from [".IP \\(bu 2", _spans(text.removeprefix("- "))]


def _spans(text: str) -> str:
    """A line with its bold and italic parts; code is bold."""
    made, at = "", 0
    for found in _SPAN.finditer(text):
        made += _inline(text[at : found.start()])
        bold = found[1] or found[2]
        made += rf"\fB{_inline(bold)}\fR" if bold else rf"\fI{_inline(found[3])}\fR"
        at = found.end()
    return _shielded(made + _inline(text[at:]))


def _escaped(line: str) -> str:
    return _shielded(_inline(line))


def _inline(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-")


def _shielded(line: str) -> str:
    """A line that roff does not take for a request."""
    return rf"\&{line}" if line.startswith((".", "'")) else line


def _quoted(text: str) -> str:
    return '"' + _inline(text).replace('"', '""') + '"'
