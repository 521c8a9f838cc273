"""A chat on a terminal, as a person sees it."""

import json

import pexpect
import pyte
import pytest

STUCK = "\0"
TERMINALS = [
    pytest.param("dumb", 80, id="dumb"),
    pytest.param("xterm-256color", 40, id="narrow"),
    pytest.param("xterm-256color", 200, id="wide"),
]


def at_prompt(child: pexpect.spawn) -> None:
    """Waits until the person may type: the line editor has switched bracketed paste on and drawn its line."""
    child.expect(r"\x1b\[\?2004h.*?\x1b\[\?25h|> ")


def end_of(child: pexpect.spawn) -> int:
    """The exit code of a program that ends by itself."""
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def screen_of(text: str, columns: int) -> str:
    """What a terminal shows after this output."""
    screen = pyte.Screen(columns, 24)
    pyte.Stream(screen).feed(text)
    return "\n".join(line.rstrip() for line in screen.display)


@pytest.mark.parametrize(("term", "columns"), TERMINALS)
def test_two_turns_and_ctrl_d(terminal, term, columns):
    child = terminal("chat", answers=("First answer.", "Second answer."), term=term, columns=columns)
    shown = ""
    for typed, answer in (("hello", "First answer."), ("and then", "Second answer.")):
        at_prompt(child)
        shown += child.before + child.after
        child.send(f"{typed}\r")
        child.expect_exact(answer)
        shown += child.before + child.after
    at_prompt(child)
    child.sendeof()
    assert end_of(child) == 0
    seen = screen_of(shown, columns)
    assert "First answer." in seen
    assert "Second answer." in seen
    assert "evil" not in seen


def test_ctrl_c_stops_the_answer_and_keeps_the_chat(terminal):
    child = terminal("chat", "-v", answers=(f"Begun{STUCK}", "Second answer."))
    at_prompt(child)
    child.send("hello\r")
    child.expect_exact("Begun")
    child.sendintr()
    child.expect_exact("interrupted")
    at_prompt(child)
    child.send("go on\r")
    child.expect(r"Second answer\.")
    # The interrupted answer is part of the prompt: begin, roles, two messages and "Begun".
    child.expect(r"prompt (\d+) tokens")
    assert int(child.match[1]) > len("helloBegungo on") + len("userassistantuserassistant")
    at_prompt(child)
    child.send("/bye\r")
    assert end_of(child) == 0


def test_ctrl_c_while_the_prompt_is_read_keeps_the_chat(terminal):
    child = terminal("chat", answers=(STUCK, "Second answer."))
    at_prompt(child)
    child.send("hello\r")
    child.expect_exact("reading the prompt")
    child.sendintr()
    at_prompt(child)
    child.send("again\r")
    child.expect_exact("Second answer.")


def test_ctrl_c_at_the_prompt_clears_the_line(terminal):
    child = terminal("chat")
    at_prompt(child)
    child.send("half a thou")
    child.expect_exact("thou")
    child.sendintr()
    child.expect_exact("Ctrl+D leaves")
    at_prompt(child)
    child.sendeof()
    assert end_of(child) == 0


def test_control_bytes_of_an_answer_do_not_reach_the_terminal(terminal):
    child = terminal("chat", answers=("a\x1b]52;c;ZXZpbA==\x07b\x9bc",))
    at_prompt(child)
    child.send("hello\r")
    at_prompt(child)
    assert "\x1b]52" not in child.before
    assert "\x9b" not in child.before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("/help", "/clear", id="help"),
        pytest.param("/clear", "it is a new one", id="clear"),
        pytest.param("/cler", "did you mean /clear", id="close name"),
        pytest.param("/etc/passwd what is it?", "An answer.", id="a path is a message"),
    ],
)
def test_a_slash_command_is_answered_by_the_program(terminal, line, said):
    child = terminal("chat")
    at_prompt(child)
    child.send(f"{line}\r")
    child.expect_exact(said)


def test_an_empty_line_asks_nothing(terminal):
    child = terminal("chat", "-v")
    at_prompt(child)
    child.send("\r")
    at_prompt(child)
    assert "prompt" not in child.before


def test_what_was_typed_is_remembered_in_a_private_file(terminal, own_home):
    child = terminal("chat")
    at_prompt(child)
    child.send("remember me\r")
    child.expect_exact("An answer.")
    at_prompt(child)
    child.sendeof()
    end_of(child)
    [history] = own_home.rglob("history.jsonl")
    assert json.loads(history.read_text()) == "remember me"
    assert history.stat().st_mode & 0o077 == 0


def test_no_color_means_no_colour(terminal, environment):
    environment["NO_COLOR"] = "1"
    child = terminal("chat")
    at_prompt(child)
    assert "\x1b[1m" not in child.before
    assert "\x1b[0;1m" not in child.before


def test_interactive_lets_the_person_interrupt_and_type(terminal):
    child = terminal("interactive", "-p", "Hi.", "-r", "User:", answers=(f" I say{STUCK}", " Yes. User:"))
    child.expect_exact("I say")
    child.sendintr()
    child.send("no\n")
    child.expect_exact("Yes. User:")
    child.sendeof()
    assert end_of(child) == 0


def test_what_is_typed_during_an_answer_appears_at_the_next_prompt(terminal):
    child = terminal("chat", answers=(f"Begun{STUCK}", "Second answer."))
    at_prompt(child)
    child.send("hello\r")
    child.expect_exact("Begun")
    child.send("typed ahead")
    child.sendintr()
    child.expect_exact("interrupted")
    assert "typed" not in child.before
    child.expect_exact("typed ahead")
    child.send("\r")
    child.expect_exact("Second answer.")
    at_prompt(child)
    child.sendeof()
    assert end_of(child) == 0
