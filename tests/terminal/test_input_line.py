"""The input line as a person at a real terminal sees it."""

import json
import re
import signal
import sys

import pytest
from typing_at import ALT_ENTER, CTRL_C, CTRL_D, DRIVER, ENTER, ESC, PASTE, Person, driver, environment

STATUS = "of 4096 tokens"
UP, RIGHT = "\x1b[A", "\x1b[C"
EDIT = "\x18\x05"


@pytest.fixture
def sit(tmp_path):
    """Sits a person down at the input line."""
    people = []

    def start(*how, **more):
        person = driver(tmp_path, *how, **more)
        people.append(person)
        person.until(">")
        person.settle()
        return person

    yield start
    for person in people:
        person.dismiss()


def remember(folder, *texts):
    (folder / "history.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))


def editor(folder, script):
    path = folder / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_the_prompt_is_the_persons_and_a_status_is_asked_once_a_message(sit):
    person = sit()
    person.press("h", "i")
    assert person.lines[0] == "> hi"
    assert person.lines[1] == "asked 1 of 4096 tokens · 漢字 · chatml"
    person.type(ENTER)
    assert person.message() == "hi"
    person.until("asked 2")
    assert sum(STATUS in line for line in person.lines) == 1


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([ALT_ENTER], id="Alt+Enter"),
        pytest.param([ESC, ENTER], id="Esc, Enter"),
        pytest.param(["\n"], id="Ctrl+J"),
        pytest.param(["\x1b[13;2u"], id="Shift+Enter, CSI u"),
        pytest.param(["\x1b[13;5u"], id="Ctrl+Enter, CSI u"),
        pytest.param(["\x1b[27;2;13~"], id="Shift+Enter, xterm"),
        pytest.param(["\\", ENTER], id="backslash"),
    ],
)
def test_keys_that_begin_a_new_line(sit, keys):
    person = sit()
    person.press("one", *keys, "two")
    assert person.got == []
    assert person.lines[:2] == ["> one", "  two"]
    person.type(ENTER)
    assert person.message() == "one\ntwo"


def test_a_block_of_triple_quotes_is_sent_when_it_is_closed(sit):
    person = sit()
    person.press('"""', ENTER, "a \\", ENTER, ENTER, "b", ENTER, '"""')
    assert person.got == []
    person.type(ENTER)
    assert person.message() == "a \\\n\nb"


def test_a_paste_is_one_message_as_it_was_copied(sit):
    person = sit()
    person.press(PASTE.format("make \\\r\n\tall\r\n\r\n/help\n"))
    assert person.got == []
    person.type(ENTER)
    assert person.message() == "make \\\n\tall\n\n/help\n"


@pytest.mark.parametrize("count", [3, 300])
def test_lines_that_come_at_once_are_one_message_without_bracketed_paste(sit, count):
    person = sit()
    lines = [f"line {number} of a text" for number in range(count)]
    person.type("".join(f"{line}{ENTER}" for line in lines))
    assert person.message() == "\n".join(lines)


def test_ctrl_r_finds_a_message_of_several_lines_from_another_run(sit, tmp_path):
    remember(tmp_path, "first\nthe needle", "another")
    person = sit()
    person.press("\x12", "needle")
    assert "  the needle" in person.lines
    person.press(ENTER)
    assert person.got == []
    person.type(ENTER)
    assert person.message() == "first\nthe needle"


def test_up_goes_to_inputs_that_begin_as_what_is_typed(sit, tmp_path):
    remember(tmp_path, "first thing", "second", "first of all", "last")
    person = sit()
    person.press("fir", UP, UP)
    person.type(ENTER)
    assert person.message() == "first thing"


def test_a_suggestion_is_taken_with_the_right_arrow_only(sit, tmp_path):
    remember(tmp_path, "what is a llama?")
    person = sit()
    person.press("what")
    assert "what is a llama?" in person.text
    person.type(ENTER)
    assert person.message() == "what"
    person.settle()
    person.press("what is", RIGHT, " Really?")
    person.type(ENTER)
    assert person.message() == "what is a llama? Really?"


def test_no_menu_while_prose_is_typed_and_tab_completes_there(sit):
    person = sit()
    person.press("read ./no")
    assert "notes" not in person.text
    person.press("\t")
    assert "read ./notes.txt" in person.text


def test_a_slash_opens_the_menu_and_enter_takes_what_is_chosen_before_it_sends(sit):
    person = sit()
    person.press("/")
    assert "about help" in person.text
    person.press("s")
    assert "about help" not in person.text
    person.press("\t", "\t", ENTER)
    assert person.got == []
    person.type(ENTER)
    assert person.message() in ("/set", "/system")


def test_esc_closes_the_menu(sit):
    person = sit()
    person.press("/", ESC)
    assert "about" not in person.text
    person.press("x")
    person.type(ENTER)
    assert person.message() == "/x"


def test_a_pasted_command_of_several_lines_opens_no_menu(sit):
    person = sit()
    person.press(PASTE.format("/set a\n/"))
    assert "about" not in person.text
    assert "value" not in person.text


def test_names_that_a_terminal_would_obey_are_not_offered(sit):
    person = sit()
    person.press("/set ")
    assert "top_k" in person.text
    assert "two  blanks" in person.text
    assert "evil" not in person.text
    assert "broken" not in person.text


def test_a_completion_that_fails_is_no_reason_to_stop_typing(sit):
    person = sit()
    person.press("/boom", "\t", "!")
    person.type(ENTER)
    assert person.message() == "/boom!"
    assert "cannot be completed" not in person.text


def test_the_editor_begins_with_what_was_typed_and_its_text_waits_to_be_sent(sit, tmp_path):
    command = editor(tmp_path, f'cp "$1" {tmp_path}/seen; printf "from\\nthere\\n" > "$1"')
    person = sit(VISUAL=command, EDITOR="false")
    person.press("a", ALT_ENTER, "b")
    person.type(EDIT)
    person.until("  there")
    assert (tmp_path / "seen").read_text() == "a\nb"
    assert person.got == []
    person.press("!")
    person.type(ENTER)
    assert person.message() == "from\nthere!"


@pytest.mark.parametrize("command", ["/nowhere/editor", "false", "'unclosed"])
def test_an_editor_that_fails_changes_nothing_and_is_told(sit, command):
    person = sit(EDITOR=command)
    person.press("kept")
    person.type(EDIT)
    person.until("the editor")
    person.settle()
    person.type(ENTER)
    assert person.message() == "kept"
    assert "Traceback" not in person.raw


def test_ctrl_c_clears_and_ctrl_d_leaves_an_empty_line_only(sit):
    person = sit()
    person.press("half a thou", CTRL_C)
    assert "INTERRUPT" in person.text
    person.press("ab", "\x01", CTRL_D)
    person.type(ENTER)
    assert person.message() == "b"
    person.settle()
    person.type(CTRL_D)
    assert person.end() == 0
    assert "END" in person.raw


def test_an_interrupt_from_elsewhere_gives_up_the_line(sit):
    person = sit()
    person.press("half a thou")
    person.child.kill(signal.SIGINT)
    person.until("INTERRUPT")
    person.settle()
    person.press("whole")
    person.type(ENTER)
    assert person.message() == "whole"
    assert "Traceback" not in person.raw


def test_ctrl_l_clears_the_screen_and_keeps_what_is_typed(sit):
    person = sit()
    person.press("one", ENTER, "two", "\x0c")
    assert person.lines[0] == "> two"
    assert "GOT" not in person.text


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_goes_on(tmp_path):
    shell = Person(["bash", "--norc", "-i"], environment(tmp_path, PS1="shell: "))
    shell.until("shell:")
    shell.type(f"{sys.executable} {DRIVER} {tmp_path}\r")
    shell.until(STATUS)
    shell.press("half a")
    shell.type("\x1a")
    shell.until(lambda lines: any("Stopped" in line for line in lines))
    shell.settle()
    shell.type("fg\r")
    shell.until(STATUS)
    shell.press(" word")
    shell.type(ENTER)
    assert shell.message() == "half a word"
    shell.dismiss()


def test_resizing_while_typing_keeps_the_text_and_its_place(sit):
    person = sit()
    person.press("a text that is longer than the smaller screen is wide")
    for columns, rows in ((30, 20), (120, 30), (50, 12)):
        person.resize(columns, rows)
        person.settle()
    person.press(" now")
    assert "".join(person.text.split()).count("smallerscreeniswidenow") == 1
    person.type(ENTER)
    assert person.message() == "a text that is longer than the smaller screen is wide now"


@pytest.mark.parametrize(
    ("columns", "rows", "status"),
    [
        pytest.param(40, 10, True, id="just enough"),
        pytest.param(39, 24, False, id="narrow"),
        pytest.param(80, 9, False, id="low"),
        pytest.param(20, 5, False, id="tiny"),
    ],
)
def test_a_small_terminal_is_for_what_is_typed(sit, columns, rows, status):
    person = sit(columns=columns, rows=rows)
    person.press("x")
    assert person.lines[0] == "> x"
    assert any("asked" in line for line in person.lines) is status


def test_wide_characters_take_two_columns_and_one_backspace(sit):
    person = sit()
    person.press("日本語", "\x7f", "x")
    assert person.screen.cursor.x == len("> ") + 2 * 2 + 1
    person.type(ENTER)
    assert person.message() == "日本x"


@pytest.mark.parametrize("doing", ["speak", "rest"])
def test_what_is_typed_meanwhile_is_there_afterwards(sit, tmp_path, doing):
    person = sit()
    person.press(doing, ENTER)
    person.until("SPEAKING")
    person.press("ahead", "x", "\x7f", " of time")
    seen = person.lines[: person.screen.cursor.y + 1]
    (tmp_path / "go").touch()
    person.until("> ahead of time")
    assert any("ahead" in line for line in seen) is (doing == "rest")
    person.press("!")
    person.type(ENTER)
    assert person.message() == "ahead of time!"


@pytest.mark.parametrize("doing", ["speak", "rest"])
def test_a_message_that_was_sent_meanwhile_is_sent(sit, tmp_path, doing):
    person = sit()
    person.press(doing, ENTER)
    person.until("SPEAKING")
    person.press(f"next{ENTER}")
    (tmp_path / "go").touch()
    assert person.message() == "next"


def test_ctrl_c_meanwhile_does_not_throw_away_what_was_typed(sit, tmp_path):
    person = sit()
    person.press("speak", ENTER)
    person.until("SPEAKING")
    assert person.modes == (False, False, False)
    person.press("ahead")
    person.child.sendintr()
    person.until("STOPPED")
    person.until("> ahead")


def test_vi_has_its_commands_after_a_short_esc(sit):
    person = sit("vi")
    person.press("one two", ESC)
    assert person.lines[1].startswith("commands of vi · asked")
    person.press("0", "dw")
    person.type(ENTER)
    assert person.message() == "two"
    person.settle()
    person.press("a", ALT_ENTER, "b", ESC, ENTER)
    assert person.got[-1] == "a\nb"


def test_without_colour_nothing_is_coloured_and_a_suggestion_still_looks_different(sit, tmp_path):
    remember(tmp_path, "what is it?")
    person = sit("mono")
    person.press("/", "\t", CTRL_C, "what")
    codes = {code for codes in re.findall(r"\x1b\[([0-9;]*)m", person.raw) for code in codes.split(";")}
    assert codes - {"", "0"} == {
        "7",
        "2",
        "1",
    }  # bold is the prompt, inverse is what is chosen, dim is what is suggested


def test_no_color_in_the_environment_is_enough(sit):
    person = sit(NO_COLOR="1")
    person.press("/")
    assert not re.search(r"\x1b\[[0-9;]*[34]\d(;\d+)*m", person.raw)


def test_the_mouse_is_the_terminals(sit):
    person = sit()
    assert not re.search(r"\x1b\[\?100\dh", person.raw)


def test_the_terminal_is_asked_nothing(sit):
    person = sit()
    person.press("one", ENTER)
    assert person.got == ["one"]
    assert not re.search(r"\x1b\[[>=?]?\d*[cn]", person.raw)


@pytest.mark.parametrize("term", ["dumb", None, ""])
def test_a_dumb_terminal_reads_lines_and_gets_no_escape_sequence(sit, term):
    person = sit(TERM=term)
    for typed, message in (
        ("hello\n", "hello"),
        ("one\\\ntwo\n", "one\ntwo"),
        ("pasted\n\nlines\n", "pasted\n\nlines"),
        ('"""\na\\\n"""\n', "a\\"),
        (f"half{CTRL_D}{CTRL_D}", "half"),
    ):
        person.type(typed)
        assert person.message() == message
        person.settle()
    person.child.sendintr()
    person.until("INTERRUPT")
    person.settle()
    person.type(CTRL_D)
    assert person.end() == 0
    assert "\x1b" not in person.raw


def test_a_dumb_terminal_may_send_what_is_no_text(sit):
    person = sit(TERM="dumb")
    person.child.write(b"\xff\xfe\n".decode("latin-1"))
    assert person.message()
    person.settle()
    person.type("still\n")
    assert person.message() == "still"
