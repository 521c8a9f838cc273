"""What is pasted, or comes from the editor: the message is the text as it was, and a long one is shown folded."""

import json

import pytest
from typing_at import ALT_ENTER, ENTER, PASTE, driver

UP, DOWN, HOME, LEFT, BACKSPACE, DELETE = "\x1b[A", "\x1b[B", "\x01", "\x1b[D", "\x7f", "\x1b[3~"
EDIT = "\x18\x05"


@pytest.fixture
def sit(tmp_path):
    """Sits a person down at the input line."""
    people = []

    def start(*how, **more):
        people.append(driver(tmp_path, *how, **more))
        people[-1].until(">")
        people[-1].settle()
        return people[-1]

    yield start
    for person in people:
        person.dismiss()


def sent(person):
    """Presses Enter: the message, and whether it is one whatever it begins with."""
    person.type(ENTER)
    return person.message(), person.literal[-1]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("// doubles\nint f(int a) { return 2 * a; }", id="comment"),
        pytest.param("// one line", id="comment of a line"),
        pytest.param('"""About."""\nimport re\nTEXT = """x"""', id="docstring"),
        pytest.param('"""\nnever closed', id="open block"),
        pytest.param("/help me\n/set temp 1", id="commands"),
        pytest.param("/bye", id="a command of a line"),
        pytest.param("make all \\", id="backslash"),
    ],
)
def test_a_pasted_text_is_the_message_as_it_is(sit, text):
    person = sit()
    person.press(PASTE.format(text.replace("\n", "\r")))
    assert sent(person) == (text, True)
    person.settle()
    person.press(UP)
    assert sent(person) == (text, True)


def test_what_was_pasted_is_a_message_in_the_next_run_too(sit, tmp_path):
    person = sit()
    person.press(PASTE.format("// first\n// second"), ENTER)
    person.dismiss()
    assert json.loads((tmp_path / "history.jsonl").read_text()) == ["// first\n// second"]
    person = sit()
    person.press(UP)
    assert sent(person) == ("// first\n// second", True)


@pytest.mark.parametrize(
    ("keys", "message", "literal"),
    [
        pytest.param(["/file ", PASTE.format("/tmp/a b")], "/file /tmp/a b", False, id="typed before"),
        pytest.param([PASTE.format("help"), HOME, "/"], "/help", False, id="typed before in the end"),
        pytest.param([PASTE.format("//x"), HOME, DELETE, DELETE, DELETE, "/y"], "/y", False, id="gone"),
        pytest.param([PASTE.format("//x\n"), "\\", ENTER, "y"], "//x\n\ny", True, id="backslash typed behind"),
        pytest.param(["a ", PASTE.format("b\\")], "a b\\", False, id="pasted backslash behind typed words"),
        pytest.param(['"""', PASTE.format("/x\n\\"), '"""'], "/x\n\\", True, id="in a typed block"),
        pytest.param([PASTE.format("//x"), UP, DOWN], "//x", True, id="left and found again"),
        pytest.param(["//typed", ALT_ENTER, "more"], "//typed\nmore", True, id="doubled in several lines"),
        pytest.param(["//typed"], "/typed", True, id="doubled in one"),
    ],
)
def test_what_is_typed_around_it_counts_as_typed(sit, tmp_path, keys, message, literal):
    (tmp_path / "history.jsonl").write_text('"an earlier input"\n')
    person = sit()
    person.press(*keys)
    assert sent(person) == (message, literal)


@pytest.mark.parametrize(
    ("typed", "written", "literal"),
    [
        pytest.param("", "// one\n// two", True, id="comment"),
        pytest.param("", '"""\nopen', True, id="block"),
        pytest.param("", "/help me", True, id="slash"),
        pytest.param("/system x", "/system Be kind.\nBe brief.", False, id="a command stays one"),
        pytest.param("x", "/system x", True, id="a command is not made in the editor"),
    ],
)
def test_what_comes_from_the_editor_is_the_message_as_it_is(sit, tmp_path, typed, written, literal):
    (tmp_path / "wanted").write_text(written)
    (tmp_path / "editor").write_text(f'#!/bin/sh\ncp {tmp_path}/wanted "$1"\n')
    (tmp_path / "editor").chmod(0o755)
    person = sit(VISUAL=str(tmp_path / "editor"))
    person.press(*typed, EDIT)
    person.until(written.splitlines()[-1])
    person.settle()
    assert sent(person) == (written, literal)


def test_a_long_text_is_folded_sent_whole_and_opened_by_tab(sit):
    person = sit()
    long = "\n".join(f"line {number}" for number in range(300))
    person.press("Sum up: ", PASTE.format(long), "!")
    assert person.lines[0] == "> Sum up: [pasted: 300 lines, Tab opens]!"
    assert "line 7" not in person.text
    assert sent(person) == (f"Sum up: {long}!", False)
    person.until(lambda _lines: any("Sum up: [pasted: 300 lines]!" in line for line in person.scrolled + person.lines))
    person.settle()
    person.press(PASTE.format(long), BACKSPACE, PASTE.format("x" * 3000))
    assert "[pasted: 3000 characters, Tab opens]" in person.text
    person.press(HOME, DELETE, PASTE.format("\n".join("abcdefghijkz")), "\t")
    assert "  z" in person.lines
    assert sent(person) == ("\n".join("abcdefghijkz"), True)


def test_a_long_message_comes_back_folded_and_its_final_line_break_begins_no_line(sit):
    person = sit()
    long = "line\n" * 300
    person.press(PASTE.format(long))
    assert person.lines[0] == "> [pasted: 300 lines, Tab opens]"
    assert sent(person) == (long, True)
    person.settle()
    person.press("again", ENTER)
    person.settle()
    assert "> [pasted: 300 lines, Tab opens]" in person.lines
    assert sent(person) == (long, True)


def test_a_folded_text_keeps_any_character(sit):
    person = sit()
    texts = ["\U000f0000" * 2001, "\U000f0001 and \U000f0000", "short"]
    person.press(*(PASTE.format(text) for text in texts))
    assert sent(person)[0] == "".join(texts)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(["a", "e\u0301", BACKSPACE], "a", id="accent"),
        pytest.param(["a", "👨\u200d👩\u200d👧", BACKSPACE], "a", id="family"),
        pytest.param(["🇩🇪🇫🇷", BACKSPACE], "🇩🇪", id="flags"),
        pytest.param(["👍🏽", "b", LEFT, LEFT, DELETE], "b", id="delete"),
        pytest.param(["one", ALT_ENTER, BACKSPACE, BACKSPACE], "on", id="line break"),
        pytest.param(["e\u0301e\u0301", LEFT, BACKSPACE, "x"], "xe\u0301", id="left"),
    ],
)
def test_a_key_takes_a_whole_grapheme(sit, keys, message):
    person = sit()
    person.press(*keys)
    assert sent(person)[0] == message
