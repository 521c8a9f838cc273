"""What is typed while an answer is written: each message one, a paste one; Esc stops the answer, other keys do not."""

import pytest
from scripted import STUCK
from typing_at import CTRL_C, ENTER, ESC, driver

ANSWERS = [f"Begun{STUCK}", "Second.", "Third.", "Fourth."]
LEFT = "\x1b[D"


@pytest.fixture
def speaking(tmp_path):
    """A person at the line while an answer is written: `tmp_path / "go"` ends it."""
    people = []

    def start(*how, **more):
        person = driver(tmp_path, *how, **more)
        people.append(person)
        person.until(">")
        person.settle()
        person.type(f"speak{ENTER}")
        person.until("SPEAKING")
        person.settle()
        return person

    yield start
    for person in people:
        person.dismiss()


def messages(person, tmp_path, count):
    (tmp_path / "go").touch()
    person.until(lambda _lines: len(person.got) >= 1 + count)
    person.settle()
    return list(zip(person.got[1:], person.literal[1:], strict=True))


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_two_messages_are_two(speaking, tmp_path, term):
    person = speaking(TERM=term)
    enter = ENTER if term != "dumb" else "\n"
    person.press(f"one{enter}", f"/two{enter}", f"three{enter}")
    assert messages(person, tmp_path, 3) == [("one", False), ("/two", False), ("three", False)]


def test_keys_of_a_slow_hand_are_words(speaking, tmp_path):
    person = speaking()
    person.press("a", "b", LEFT, "x", ENTER, "//c", ENTER)
    assert messages(person, tmp_path, 2) == [("axb", False), ("/c", True)]


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_lines_that_come_at_once_are_one_pasted_message(speaking, tmp_path, term):
    person = speaking(TERM=term)
    enter = ENTER if term != "dumb" else "\n"
    person.press(f"// one{enter}/two{enter}", f"three{enter}")
    assert messages(person, tmp_path, 2) == [("// one\n/two", True), ("three", False)]


def test_a_message_in_pieces_of_letters_is_whole(speaking, tmp_path):
    person = speaking()
    word = "Grüße, 日本".encode()
    for at in range(len(word)):
        person.child.write(word[at : at + 1].decode("latin-1").encode("latin-1").decode("utf-8", "surrogateescape"))
    person.press(ENTER)
    assert messages(person, tmp_path, 1)[0][0].startswith("Gr")


def test_esc_is_a_key_of_vi_behind_words_and_nothing_in_emacs(speaking, tmp_path):
    person = speaking("vi")
    person.press("one two", ESC, "0", "dw", ENTER)
    assert messages(person, tmp_path, 1) == [("two", False)]


def test_esc_is_no_part_of_a_message(speaking, tmp_path):
    person = speaking()
    person.press("one", ESC, " two", ENTER)
    assert messages(person, tmp_path, 1) == [("one two", False)]


def test_esc_stops_an_answer_as_ctrl_c_does_and_keeps_what_was_typed(talk):
    seen = []
    for key in (ESC, CTRL_C):
        person = talk(answers=ANSWERS)
        person.type(f"Say{ENTER}")
        person.until("Begun")
        person.settle()
        person.press("next", key)
        person.until("(interrupted)")
        person.ready()
        assert "next" in person.typed
        seen.append([line for line in person.lines if "Begun" in line or "interrupted" in line])
        person.dismiss()
    assert seen[0] == seen[1]


def test_esc_stops_the_reading_of_a_prompt(talk):
    person = talk(answers=[STUCK, "Second."])
    person.type(f"Say{ENTER}")
    person.settle()
    person.press(ESC)
    person.until("interrupted")
    person.ready()
    person.ask("Again")
    assert "Second." in person.text


@pytest.mark.parametrize("keys", [LEFT, "\x1bOA", "\x1b[200~text\x1b[201~", "\x1b[1;5C", "\x1bb"])
def test_a_key_that_begins_with_esc_stops_nothing(talk, keys):
    person = talk(answers=ANSWERS)
    person.type(f"Say{ENTER}")
    person.until("Begun")
    person.settle()
    person.press(keys)
    assert "interrupted" not in person.text
    person.press(ESC)
    person.until("(interrupted)")
