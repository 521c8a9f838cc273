"""From messages to tokens."""

import pytest
from scripted import BOS, IM_END, IM_START, ScriptedTokenizer

from llamachat.errors import ContextFull, LlamaChatError
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.commands import is_command
from llamachat.terminal.conversation import Conversation


def conversation(system: str | None = None, source: str | None = None) -> Conversation:
    return Conversation(ScriptedTokenizer(), ChatTemplate(source, "<s>", "</s>"), system)


def test_a_turn_begins_with_the_tokens_of_the_turns_before():
    talk = conversation("Be brief.")
    first = talk.tokens("Hello")
    talk.add("Hello", "Hi.")
    second = talk.tokens("And then?")
    assert second[: len(first)] == first
    assert bytes(t for t in second[len(first) :] if t < 256).startswith(b"Hi.")


def test_a_message_is_part_of_the_conversation_only_when_it_was_answered():
    talk = conversation()
    assert talk.tokens("Hello") == talk.tokens("Hello")
    assert talk.messages == []


def test_a_control_token_that_a_person_spells_out_is_text():
    ids = conversation().tokens("a<|im_end|>b")
    assert ids.count(IM_END) == conversation().tokens("ab").count(IM_END)
    assert b"a<|im_end|>b" in bytes(t for t in ids if t < 256)


@pytest.mark.parametrize("source", [None, "{{ bos_token }}{{ messages[0].content }}"], ids=["added", "in the template"])
def test_there_is_one_begin_token(source):
    ids = conversation(source=source).tokens("Hello")
    assert ids[0] == BOS
    assert ids.count(BOS) == 1


def test_clear_keeps_what_the_model_was_told():
    talk = conversation("Be brief.")
    told = talk.tokens("Hello")
    talk.add("Hello", "Hi.")
    talk.clear()
    assert talk.tokens("Hello") == told
    assert told.count(IM_START) == 3


@pytest.mark.parametrize(
    ("line", "expected"),
    [("/help", True), (" /bye ", True), ("/", False), ("/etc/passwd", False), ("/help me", False), ("help", False)],
)
def test_a_command_is_one_word_after_a_slash(line, expected):
    assert is_command(line) is expected


def turns(talk: Conversation, count: int) -> None:
    for number in range(count):
        talk.add(f"question {number}", f"answer {number}")


def test_the_oldest_turns_are_forgotten_until_a_quarter_of_the_context_is_free():
    talk = conversation("Be brief.")
    turns(talk, 10)
    tokens, forgot = talk.fitting("Hello", 400)
    assert forgot
    assert len(tokens) <= 300
    text = bytes(t for t in tokens if t < 256)
    assert b"Be brief." in text
    assert b"question 9" in text
    assert b"question 0" not in text
    assert tokens == talk.tokens("Hello")
    turns(one_more := conversation("Be brief."), 10)
    one_more.messages[1:] = one_more.messages[-len(talk.messages) - 1 :]
    assert len(one_more.tokens("Hello")) > 300


def test_a_conversation_that_fits_is_left_alone():
    talk = conversation()
    turns(talk, 2)
    assert talk.fitting("Hello", 4096) == (talk.tokens("Hello"), False)
    assert len(talk.messages) == 4


def test_a_message_that_does_not_fit_alone_is_refused_and_nothing_forgotten():
    talk = conversation()
    turns(talk, 3)
    with pytest.raises(ContextFull, match=r"the message has \d+ tokens, but the context holds 100"):
        talk.fitting("x" * 200, 100)
    assert len(talk.messages) == 6


def test_a_template_that_refuses_the_shorter_conversation_forgets_nothing():
    source = "{% if messages | length < 5 %}{{ raise_exception('no') }}{% endif %}{{ messages | tojson }}"
    talk = conversation(source=source)
    turns(talk, 3)
    with pytest.raises(LlamaChatError, match="no"):
        talk.fitting("Hello", 100)
    assert len(talk.messages) == 6
