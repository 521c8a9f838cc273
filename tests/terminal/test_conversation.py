"""From messages to tokens."""

import pytest
from scripted import BOS, IM_END, ScriptedTokenizer

from llamachat.dialogue.conversation import Conversation, Fitted
from llamachat.errors import ContextFull, LlamaChatError
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.commands import is_command
from llamachat.terminal.input.message import Typed, typed_of


def conversation(system: str | None = None, source: str | None = None) -> Conversation:
    store = ChatStore(None)
    made = Conversation(ScriptedTokenizer(), ChatTemplate(source, "<s>", "</s>"), store, store.create("m"))
    if system is not None:
        made.set(system=system)
    return made


def add(talk: Conversation, question: str, answer: str) -> None:
    asked = talk.ask(question)
    talk.store.add(talk.chat, asked, StoredMessage(0, None, "assistant", answer))


def test_a_turn_begins_with_the_tokens_of_the_turns_before():
    talk = conversation("Be brief.")
    first = talk.tokens("Hello")
    add(talk, "Hello", "Hi.")
    second = talk.tokens("And then?")
    assert second[: len(first)] == first
    assert bytes(t for t in second[len(first) :] if t < 256).startswith(b"Hi.")


def test_a_message_is_part_of_the_conversation_only_when_it_was_answered():
    talk = conversation()
    assert talk.tokens("Hello") == talk.tokens("Hello")
    assert talk.messages() == []


def test_a_control_token_that_a_person_spells_out_is_text():
    ids = conversation().tokens("a<|im_end|>b")
    assert ids.count(IM_END) == conversation().tokens("ab").count(IM_END)
    assert b"a<|im_end|>b" in bytes(t for t in ids if t < 256)


@pytest.mark.parametrize("source", [None, "{{ bos_token }}{{ messages[0].content }}"], ids=["added", "in the template"])
def test_there_is_one_begin_token(source):
    ids = conversation(source=source).tokens("Hello")
    assert ids[0] == BOS
    assert ids.count(BOS) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [("/help", True), (" /bye ", True), ("/", False), ("/etc/passwd", False), ("/set temp 1", True), ("help", False),
     ("//help", False), ("", False)],
)  # fmt: skip
def test_a_command_is_a_word_after_one_slash(line, expected):
    assert is_command(line) is expected


def test_a_doubled_slash_begins_a_message_with_one():
    assert typed_of("//help me") == Typed("/help me", literal=True)
    assert typed_of("a // b") == Typed("a // b")
    assert typed_of("// one\n// two").text == "// one\n// two"


def turns(talk: Conversation, count: int) -> None:
    for number in range(count):
        add(talk, f"question {number}", f"answer {number}")


def test_the_oldest_turns_are_forgotten_until_half_of_the_context_is_free():
    talk = conversation("Be brief.")
    turns(talk, 10)
    found = talk.fitting("Hello", 400)
    tokens = found.tokens
    assert found.n_turns >= 1
    assert len(found.whole) > 300
    assert len(tokens) <= 200
    text = bytes(t for t in tokens if t < 256)
    assert b"Be brief." in text
    assert b"question 9" in text
    assert b"question 0" not in text
    assert tokens == talk.tokens("Hello")
    assert len(talk.path()) == 20  # the chat has them still
    one_more = conversation("Be brief.")
    turns(one_more, 10)
    one_more.set(forgotten=talk.forgotten - 2)
    assert len(one_more.tokens("Hello")) > 200


def test_no_more_turns_are_forgotten_than_help():
    talk = conversation()
    turns(talk, 4)
    long = "x" * 230
    found = talk.fitting(long, 400)
    assert 200 < len(found.tokens) <= 300
    one_less = conversation()
    turns(one_less, 4)
    one_less.set(forgotten=talk.forgotten - 2)
    assert len(one_less.tokens(long)) > 300


def test_a_conversation_that_fits_is_left_alone():
    talk = conversation()
    turns(talk, 2)
    assert talk.fitting("Hello", 4096) == Fitted(talk.tokens("Hello"), 0, talk.tokens("Hello"))
    assert talk.forgotten == 0


def test_a_message_that_does_not_fit_alone_is_refused_and_nothing_forgotten():
    talk = conversation()
    turns(talk, 3)
    with pytest.raises(ContextFull, match=r"the message has \d+ tokens, but the context holds 100"):
        talk.fitting("x" * 200, 100)
    assert talk.forgotten == 0
    assert len(talk.messages()) == 6


def test_where_nothing_may_be_forgotten_a_full_context_is_refused_with_the_numbers():
    talk = conversation()
    turns(talk, 10)
    with pytest.raises(ContextFull, match=r"the chat has \d+ tokens, but the context holds 400"):
        talk.fitting("Hello", 400, forget=False)
    assert talk.forgotten == 0


def test_what_was_forgotten_is_remembered_by_the_chat():
    talk = conversation()
    turns(talk, 10)
    talk.fitting("Hello", 400)
    again = Conversation(talk.tokenizer, talk.template, talk.store, talk.chat)
    assert again.messages() == talk.messages()
    again.go_to(None)
    assert again.forgotten == 0


def test_a_template_that_refuses_the_shorter_conversation_forgets_nothing():
    source = "{% if messages | length < 5 %}{{ raise_exception('no') }}{% endif %}{{ messages | tojson }}"
    talk = conversation(source=source)
    turns(talk, 3)
    with pytest.raises(LlamaChatError, match="no"):
        talk.fitting("Hello", 100)
    assert len(talk.messages()) == 6


def test_a_template_that_refuses_a_short_conversation_forgets_as_much_as_it_lets():
    source = "{% if messages | length < 14 %}{{ raise_exception('no') }}{% endif %}{{ messages | tojson }}"
    talk = conversation(source=source)
    turns(talk, 10)
    whole = len(talk.tokens("Hello"))
    found = talk.fitting("Hello", whole + 10)
    assert found.n_turns == 3
    assert whole / 2 < len(found.tokens) < whole * 3 / 4


def test_what_a_small_context_forgot_is_remembered_where_there_is_room():
    talk = conversation("Be brief.")
    turns(talk, 10)
    talk.fitting("Hello", 400)
    forgotten = talk.forgotten
    talk.set(summary="It was about x.")
    whole = len(conversation_of(talk).tokens())
    for n_ctx in (400, 2 * whole - 2):
        talk.remember(n_ctx)
        assert (talk.forgotten, talk.summary) == (forgotten, "It was about x.")
    talk.remember(2 * whole)
    assert (talk.forgotten, talk.summary) == (0, "")
    assert len(talk.messages()) == 21
    assert talk.store.settings(talk.chat).get("forgotten") is None


def conversation_of(talk: Conversation) -> Conversation:
    """The same talk, with nothing forgotten."""
    whole = Conversation(talk.tokenizer, talk.template, talk.store, talk.chat)
    whole.settings = {"system": talk.system}
    return whole


def opened_again(talk: Conversation) -> Conversation:
    """The same chat, as another program would find it."""
    return Conversation(talk.tokenizer, talk.template, talk.store, talk.chat)


def test_what_was_chosen_is_kept_with_the_chat_and_can_be_put_back():
    talk = conversation("Be brief.")
    talk.choose("temp", "0.2")
    talk.choose("stop", "END")
    talk.choose("stop", None)
    assert opened_again(talk).chosen == {"temp": "0.2"}
    assert opened_again(talk).system == "Be brief."
    copy = opened_again(talk)
    copy.change(talk.store.fork(talk.chat))
    assert copy.chosen == {"temp": "0.2"}
    talk.choose("temp", None)
    assert talk.store.settings(talk.chat) == {"system": "Be brief."}


def test_what_cannot_have_been_chosen_counts_as_nothing():
    talk = conversation()
    for value in ("text", [1], {"temp": 0.2}, 5):
        talk.store.set_settings(talk.chat, {"set": value})
        assert opened_again(talk).chosen == {}


def test_an_answer_that_continues_is_counted_with_what_came():
    talk = conversation()
    answer = talk.store.add(talk.chat, talk.ask("Hello"), StoredMessage(0, None, "assistant", "Hi", "interrupted"))
    before = talk.n_tokens
    talk.store.update(answer, "Hi, and much more.", "done")
    assert talk.n_tokens == len(talk.tokens()) > before
