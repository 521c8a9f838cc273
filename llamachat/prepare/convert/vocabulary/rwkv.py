"""RWKV's list of tokens: a line each, with a number, a Python literal of text or bytes, and its length in bytes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from llamachat.engine.tokenizers.vocabulary import PREFIX, Kind
from llamachat.errors import ModelFileError
from llamachat.prepare.convert.vocabulary.lists import Lists

RWKV_FILE: Final = "rwkv_vocab_v20230424.txt"
END_OF_TURN: Final = 261
"""The token of two line ends, which ends a turn of its chats."""


def rwkv_vocabulary(path: Path) -> Lists:
    """Raises ModelFileError for a line of another form."""
    lists = Lists("rwkv")
    lists.put(0, "<s>", Kind.CONTROL)
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            text = ast.literal_eval(line[line.index(" ") : line.rindex(" ")].strip())
            raw = text.encode() if isinstance(text, str) else text
            token, length = int(line.split(" ", 1)[0]), int(line.rsplit(" ", 1)[1])
        except (ValueError, SyntaxError) as error:
            raise ModelFileError("this line is no token", path, f"line {number}") from error
        if not isinstance(raw, bytes) or len(raw) != length:
            raise ModelFileError("the token has another length", path, f"line {number}")
        lists.put(token, repr(raw)[2:-1], Kind.NORMAL)
    special = {"bos": 0, "eos": 0, "eot": END_OF_TURN, "padding": 0}
    lists.more = {f"{PREFIX}{name}_token_id": number for name, number in special.items()}
    lists.more["tokenizer.chat_template"] = "rwkv-world"
    return lists
