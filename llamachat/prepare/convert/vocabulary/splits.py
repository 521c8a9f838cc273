"""How a tokenizer.json cuts a text before it merges, as a name of `tokenizer.ggml.pre`.

Expressions can be written in many ways. So names are found by what they do: a text with something of everything is
cut by the file's expressions, and by those of each known name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from llamachat.engine.tokenizers.pre_tokenizers import (
    CHARACTERS,
    EXPRESSIONS,
    IGNORE_MERGES,
    THREES,
)
from llamachat.engine.tokenizers.splitting import Splitter, threes
from llamachat.errors import Unsupported

GPT2: Final = EXPRESSIONS["gpt-2"][0]
PUNCTUATION: Final = r"[\p{P}\$\+<=>\^~\|`]"

PROBE: Final = (
    "I've DON'T we'Ll 'Twas you'RE  don\u2019t 's'S a's b'D\n\n\n \n\r\n\t\t x\t y  z   \n   w\n 1 22 333 4444 55555 "
    "1234567 3.14 x12y 7b 10\u00b2 \u0663\u0664\u0665 \u2163 \u216b ABCdef XMLHttp helloWORLD \u0130\u01c5x "
    "\u00e9t\u00e9 \u00c9TUDE na\u00efve e\u0301 \u0928\u092e\u0938\u094d\u0924\u0947 \u4f60\u597d\u4e16\u754c\uff0c"
    "\u6d4b\u8bd5123\u3002\u3053\u3093\u306b\u3061\u306f\u30ab\u30bf\u30ca\u30fb \ud55c\uad6d\uc5b4 \u0e2a\u0e27\u0e31"
    "\u0e2a\u0e14\u0e35 \u1780\u17b6\u178f\u17cb \U0001f680\U0001f468\u200d\U0001f469 \u2764\ufe0f !!! ... ?!?! "
    "------=== ``code`` $5+3<4>=2^~|\\ (a)[b]{c} <|x|> a_b __init__ #tag @me 50% &amp; /usr/bin//x \n/ ;\n; .\r\n. "
    '"quoted" \u201cq\u201d \u2026 \u00a0nbsp\u00a0 \u2003em \u3000wide a.b.c !a "b \'c -d .e (f Word. Word, \n word '
    "\u0441\u043b\u043e\u0432\u043e \u0421\u041b\u041e\u0412\u041e \u03b1\u03b2\u03b3\u0391 \u2c00\ua7ae \U0001d400 "
    "\u00aa \u02b0a \u2070 IMGIMGABZ <sentinel:3> 1a2b3c a1b2 \u00bd 0 00 000 0000 00000 000000 0000000   \n\n  end  "
)


def name_of_splits(parts: Sequence[Mapping[str, Any]], ignores_merges: bool, likely: tuple[str, ...]) -> str:
    """The name whose expressions cut as the parts of a pre-tokenizer do. likely: which one if there are several.

    ignores_merges: whole words that are tokens are not merged. Raises Unsupported where no name does.
    """
    expressions = tuple(one for part in parts for one in _expressions(part))
    try:
        wanted = pieces(expressions)
    except (re.error, KeyError, AssertionError) as error:
        raise Unsupported(f"the expressions cannot be read ({error})", "tokenizer.json", "pre_tokenizer") from error
    names = [name for name in EXPRESSIONS if name not in CHARACTERS and _pieces_of(name) == wanted]
    fitting = [name for name in names if (name in IGNORE_MERGES) == ignores_merges] or names
    if not fitting:
        said = "cuts texts as no tokenizer does that GGUF has a name for"
        raise Unsupported(f"{said}: {' then '.join(expressions)!r:.200}", "tokenizer.json", "pre_tokenizer")
    return next((name for name in likely if name in fitting), fitting[0])


@cache
def _pieces_of(name: str) -> tuple[str, ...]:
    return pieces(EXPRESSIONS[name])


def pieces(expressions: Sequence[str]) -> tuple[str, ...]:
    """The probe, cut by expressions one after the other."""
    found = [PROBE]
    for expression in expressions:
        cut = threes if expression == THREES else Splitter(expression).split
        found = [piece for one in found for piece in cut(one)]
    return tuple(found)


def _expressions(part: Mapping[str, Any]) -> list[str]:
    """What a part of a pre-tokenizer cuts by."""
    kind = part.get("type")
    if kind == "ByteLevel":
        return [GPT2] if part.get("use_regex", True) else []
    if kind == "Digits":
        return [r"\p{N}" if part.get("individual_digits") else r"\p{N}+"]
    if kind == "Punctuation":
        return [PUNCTUATION + ("+" if part.get("behavior") == "Contiguous" else "")]
    if kind == "Split":
        pattern = part.get("pattern", {})
        text = pattern.get("Regex")
        if text is None and isinstance(pattern.get("String"), str):
            text = re.escape(pattern["String"])
        if isinstance(text, str):
            return [text]
    if kind == "WhitespaceSplit":
        return [r"\S+"]
    raise Unsupported(f"is {kind!r:.40}, which is not known", "tokenizer.json", "pre_tokenizer.type")
