import pytest

from llamachat.terminal.sanitize import clean, clean_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("plain", "plain", id="plain text"),
        pytest.param("a\n\tb", "a\n\tb", id="newline and tab stay"),
        pytest.param("a\rb\x07c\x00d\x7fe", "abcde", id="C0 and DEL"),
        pytest.param("\x1b[31mred\x1b[0m", "red", id="colours"),
        pytest.param("\x9b31mred", "red", id="8-bit CSI"),
        pytest.param("x\x1b]52;c;aGk=\x07y", "xy", id="OSC 52 writes the clipboard"),
        pytest.param("x\x1b]0;title\x1b\\y", "xy", id="OSC ended by ST"),
        pytest.param("x\x9d0;title\x9cy", "xy", id="8-bit OSC"),
        pytest.param("x\x1bP$q\x1b\\y", "xy", id="DCS"),
        pytest.param("x\x1b_app\x1b\\y\x1b^pm\x1b\\z", "xyz", id="APC and PM"),
        pytest.param("x\x1b(0y\x1bcz", "xyz", id="character set and reset"),
        pytest.param(
            "x\x1b]52;c;never closed", "x52;c;never closed", id="an unclosed sequence keeps its harmless text"
        ),
        pytest.param("\x1b", "", id="a lone escape"),
        pytest.param("\x1b\x1b[31mx", "x", id="an escape before a sequence"),
        pytest.param("a\u0085b\u009fc", "abc", id="C1"),
        pytest.param("user\u202egpj.exe\u2066x\u2069", "usergpj.exex", id="bidirectional overrides"),
        pytest.param("grüße 你好 🙂 שלום\u200f", "grüße 你好 🙂 שלום\u200f", id="other languages stay"),
        pytest.param("a\udcffb", "a\ufffdb", id="an undecodable file name"),
    ],
)
def test_only_what_a_terminal_may_show_is_left(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_nothing_that_a_terminal_obeys_is_left_whatever_is_put_together() -> None:
    pieces = ["\x1b", "[", "]", "P", "\x9b", "\x9d", "\x07", "\x9c", "\\", "m", "0"]
    texts = (a + b + c + d for a in pieces for b in pieces for c in pieces for d in pieces)
    assert not [text for text in texts if set(clean(text)) & set("\x1b\x9b\x9d\x07\x9c")]


def test_a_line_has_no_line_breaks() -> None:
    assert clean_line(" a\r\n b\t\x1b[1mc ") == "a b c"
