"""What stands around the input line: whose turn it is, and how things are."""

import re

from prompt_toolkit.data_structures import Size
from prompt_toolkit.utils import get_cwidth

from llamachat.terminal.sanitize import clean_line

NARROWEST, LOWEST = 40, 10
"""On smaller terminals there is no name and no status line."""

LONGEST = 24
"""Columns of a model's name in the prompt."""

_DETAIL = re.compile(
    r"(-\d{5}-of-\d{5}|[-._](I?Q\d\w*|TQ\d\w*|MXFP4\w*|[BF]?F16|F32|UD|imat|gguf)|[-._](Instruct|Chat|it))+$", re.I
)
"""What a file's name says besides the model: part, quantisation, that it answers."""


def prompt_text(title: str, columns: int) -> str:
    """The prompt: the short name of a model, where there is room for it."""
    name = clean_line(title)
    short = shortened(_DETAIL.sub("", name) or name, LONGEST)
    return f"{short}> " if short and columns >= NARROWEST else "> "


def has_room(size: Size) -> bool:
    """Whether a terminal is large enough for a status line."""
    return size.columns >= NARROWEST and size.rows >= LOWEST


def shortened(text: str, columns: int) -> str:
    """The text in at most so many columns; an ellipsis stands for what is left out."""
    if get_cwidth(text) <= columns:
        return text
    while text and get_cwidth(text) >= columns:
        text = text[:-1]
    return f"{text}…"
