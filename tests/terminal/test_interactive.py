"""Tokens of an answer, as far as its text was shown."""

import pytest
from scripted import ScriptedTokenizer

from llamachat.terminal.interactive import cut_tokens


class WordTokenizer(ScriptedTokenizer):
    """Tokens of several characters."""

    words = (b"Hello", b" User: and", b"\xc3", b"\xa9", b"")

    def piece_bytes(self, token: int) -> bytes:
        return self.words[token]


@pytest.mark.parametrize(
    ("ids", "text", "kept", "rest"),
    [
        pytest.param([0, 1], "Hello User: and", [0, 1], "", id="all of it"),
        pytest.param([0, 1], "Hello User:", [0], " User:", id="a token is cut"),
        pytest.param([1], " User:", [], " User:", id="the first token is cut"),
        pytest.param([0, 2, 3], "Helloé", [0, 2, 3], "", id="a character of two tokens"),
        pytest.param([0, 4, 2], "Hello", [0, 4], "", id="a control token prints nothing"),
        pytest.param([], "", [], "", id="nothing"),
    ],
)
def test_tokens_are_kept_as_far_as_their_text_was_shown(ids, text, kept, rest):
    assert cut_tokens(WordTokenizer(), ids, text) == (kept, rest)
