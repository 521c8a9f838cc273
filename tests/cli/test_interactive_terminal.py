"""The classic mode on a terminal: colours, Ctrl+C while the model speaks and at the person's turn."""

import pexpect

STUCK = "\0"


def code_of(child):
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def test_ctrl_c_interjects_and_at_the_person_s_turn_leaves_with_statistics(terminal):
    child = terminal("interactive", "-p", "Hi.", "-r", "User:", answers=(f" I say{STUCK}", " Yes. User:"))
    child.expect_exact("Ctrl+C interrupts the model")
    child.expect_exact("I say")
    child.sendintr()
    child.send("no\n")
    child.expect_exact("Yes. User:")
    child.sendintr()
    child.expect("generation +\\d+ tokens")
    assert code_of(child) == 130


def test_a_person_without_colours_gets_none(terminal, environment):
    environment["NO_COLOR"] = "1"
    child = terminal("interactive", "--color", "-p", "Hi. User:", "-r", "User:")
    child.expect_exact("User:")
    child.sendeof()
    code_of(child)
    assert "\x1b[35m" not in child.before


def test_prompt_and_typed_lines_are_coloured_where_that_is_asked_for(terminal):
    child = terminal("interactive", "--color", "-p", "Hi. User:", "-r", "User:")
    child.expect_exact("\x1b[35mHi. User:\x1b[0m")
    child.expect_exact("\x1b[1;32m")
    child.sendeof()
    assert code_of(child) == 0


def test_escapes_of_the_command_line_are_put_in_unless_they_are_not_wanted(llamachat):
    done = llamachat("interactive", "-p", r"A\tB\nUser:", "-r", r"\nUser:")
    assert done.stdout == b"A\tB\nUser:\n"
    done = llamachat("interactive", "--no-escape", "-p", r"A\tUser:", "-r", "User:")
    assert done.stdout == b"A\\tUser:\n"
