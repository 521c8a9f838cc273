"""A chat says that it is new, where it is kept at its end, and how to continue it."""

import pytest
from typing_at import CTRL_D, ENTER

from llamachat.session.chats import ChatStore
from llamachat.session.places import database_path


def quit_said(person):
    person.type(CTRL_D)
    assert person.end() == 0
    return "\n".join(person.shown)


def test_a_name_that_is_not_known_is_a_new_chat(talk):
    person = talk("--session", "tripp", answers=["Yes."])
    assert "There was no chat named tripp: this one is new." in person.text
    person.ask("one")
    assert "(kept as chat 1: llamachat chat --session tripp continues it)" in quit_said(person)
    person = talk("--session", "tripp", answers=["Yes."])
    assert "There was no chat" not in person.text
    assert "(2 messages before)" in person.text


@pytest.mark.parametrize("arguments", [(), ("--no-save",)])
def test_a_chat_without_a_name_is_continued_by_its_number(talk, arguments):
    person = talk(*arguments, answers=["Yes."])
    person.ask("one")
    said = quit_said(person)
    if arguments:
        assert "(this chat was not kept)" in said
    else:
        assert "(kept as chat 1: llamachat chat --session 1 continues it)" in said


def test_nothing_is_said_of_a_chat_in_which_nothing_was_said(talk):
    said = quit_said(talk("--session", "trip", answers=["Yes."]))
    assert "kept" not in said


def test_a_chat_that_is_gone_is_said_and_the_program_continues(talk):
    person = talk("--session", "trip", answers=["Yes.", "No."])
    person.ask("one")
    with ChatStore(database_path()) as store:
        store.forget(store.find("trip"))
    person.ask("two")
    assert "(there is no chat 1)" in person.text
    assert "there is no chat 1" in person.below
    assert "kept as" not in quit_said(person)


def test_a_name_of_several_words_is_quoted(talk):
    person = talk("--session", "my trip", answers=["Yes."])
    person.ask("one")
    assert "--session 'my trip' continues it" in quit_said(person)


def test_options_that_are_not_kept_are_named(talk):
    person = talk("--session", "trip", "--chat-template", "chatml", answers=["Yes."])
    person.ask("one")
    said = quit_said(person).replace("\n", " ")
    assert "--session trip continues it; give --chat-template again)" in said


def test_another_chat_begins_and_the_first_is_returned_to(talk):
    person = talk("--session", "trip", answers=["Yes.", "No."])
    person.ask("one")
    person.ask("/new")
    assert "This is a new chat, number 2. /load trip goes back to the one before." in person.text
    person.ask("two")
    person.ask("/load trip")
    assert "(2 messages before)" in person.text
    assert "> one" in person.text


def test_what_is_taken_back_is_in_the_line_to_be_sent_again(talk):
    person = talk(answers=["Yes.", "No."])
    person.ask("one")
    person.ask("/undo")
    assert "one" in person.typed
    person.type(f", again{ENTER}")
    person.until("No.")
    person.ready()
    person.ask("/history")
    assert "one, again" in person.text
