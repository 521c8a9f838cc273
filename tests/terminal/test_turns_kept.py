"""Nothing that was said is lost, whatever ends an answer, and before or after its first word."""

import pytest
from scripted_chat import made, talk

from llamachat.dialogue.responder import Answer, Responder
from llamachat.engine.events import Stop, Timings, Token
from llamachat.errors import Cancelled, ContextFull, GrammarError, UsageError
from llamachat.terminal.commands import run_command

SIGNAL, CTRL_C, WRONG = SystemExit(143), KeyboardInterrupt(), GrammarError("it fails")


@pytest.fixture
def broken(monkeypatch):
    """Makes the next answer end with an error, after these words."""
    answer = Responder.answer

    def ends(error, words=""):
        def spoken(self, prompt, sink, n_begun=0):
            monkeypatch.setattr(Responder, "answer", answer)
            begun = [self.model.tokenizer.piece(token) for token in prompt[len(prompt) - n_begun :]]
            events = [
                Token(text, number) for number, text in enumerate([*begun, *(f"{one} " for one in words.split())])
            ]
            for event in events:
                sink.event(event)
            if error == "stopped":
                return Answer("", [one.id for one in events], "cancelled", Timings())
            raise error

        monkeypatch.setattr(Responder, "answer", spoken)

    return ends


def said(chat):
    """Role, content and state of the messages of the chat as it is now."""
    return [(one.role, one.content, one.state) for one in chat.conversation.path()]


def everything(chat):
    return [one.content for one in chat.conversation.store.tree_of(chat.conversation.chat)]


FIRST = [("user", "one", "done"), ("assistant", "A", "done")]


def after_one(**more):
    chat = made("A", "B", "C", **more)
    chat.ask("one")
    chat.given = []
    chat.give_back = chat.given.append
    return chat


@pytest.mark.parametrize("error", [SIGNAL, CTRL_C, WRONG, OSError(5, "gone")], ids=repr)
def test_what_was_said_of_an_answer_stays_and_is_marked(broken, error):
    chat = after_one()
    broken(error, "some words")
    with pytest.raises(type(error)):
        chat.ask("two")
    assert said(chat) == [*FIRST, ("user", "two", "done"), ("assistant", "some words ", "interrupted")]
    assert chat.given == []


@pytest.mark.parametrize("error", [SIGNAL, OSError(5, "gone")], ids=repr)
def test_a_message_stays_where_the_program_ends_before_its_answer(broken, error):
    chat = after_one()
    broken(error)
    with pytest.raises(type(error)):
        chat.ask("two")
    assert said(chat) == [*FIRST, ("user", "two", "interrupted")]
    run_command("/continue", chat)
    assert said(chat) == [*FIRST, ("user", "two", "done"), ("assistant", "B", "done")]


def test_a_message_after_one_without_an_answer_is_read_with_it(broken):
    chat = after_one()
    broken(SIGNAL)
    with pytest.raises(SystemExit):
        chat.ask("two")
    chat.ask("three")
    assert talk(chat)[2:] == [("user", "two\n\nthree"), ("assistant", "B")]


@pytest.mark.parametrize("error", [CTRL_C, WRONG, Cancelled("stopped"), "stopped"], ids=repr)
def test_a_message_is_given_back_where_the_chat_continues_before_its_answer(broken, tmp_path, error):
    path = tmp_path / "notes.txt"
    path.write_text("remember")
    chat = after_one()
    run_command(f"/file {path}", chat)
    broken(error)
    if error == "stopped":
        chat.ask("two")
    else:
        with pytest.raises(type(error)):
            chat.ask("two")
    assert said(chat) == FIRST
    assert (chat.given, chat.attached) == (["two"], [("notes.txt", "remember")])
    assert any("two" in content for content in everything(chat))
    chat.ask("three")
    assert said(chat)[2][1] == "File notes.txt:\n```\nremember\n```\n\nthree"


def test_in_a_pipe_a_message_stays(broken):
    chat = after_one()
    chat.give_back = None
    broken("stopped")
    chat.ask("two")
    assert said(chat) == [*FIRST, ("user", "two", "interrupted")]


def test_a_message_that_is_refused_is_given_back_and_nowhere_else(tmp_path):
    chat = after_one(n_ctx=300)
    with pytest.raises(ContextFull):
        chat.ask("x" * 400)
    assert (said(chat), chat.given) == (FIRST, ["x" * 400])
    assert everything(chat) == ["one", "A"]


@pytest.mark.parametrize("command", ["/regen", "/retry", "/why 1 2", "/edit"])
@pytest.mark.parametrize("error", [SIGNAL, CTRL_C, "stopped"], ids=repr)
def test_the_turn_before_stays_until_another_answer_has_a_word(broken, command, error):
    chat = after_one()
    chat.editor = lambda _text: "uno"
    broken(error)
    if error == "stopped":
        run_command(command, chat)
    else:
        with pytest.raises(type(error)):
            run_command(command, chat)
    assert said(chat) == FIRST
    if command == "/edit":
        assert "uno" in everything(chat)
        assert chat.given == ([] if error is SIGNAL else ["uno"])
    else:
        assert everything(chat) == ["one", "A"]


@pytest.mark.parametrize("command", ["/regen", "/why 1 2", "/edit"])
def test_another_answer_that_is_interrupted_is_kept_beside_the_first(broken, command):
    chat = after_one()
    chat.editor = lambda _text: "uno"
    broken(SIGNAL, "some words")
    with pytest.raises(SystemExit):
        run_command(command, chat)
    assert said(chat)[-1][1].endswith("some words ")
    assert said(chat)[-1][2] == "interrupted"
    assert "A" in everything(chat)


@pytest.mark.parametrize("error", [SIGNAL, CTRL_C], ids=repr)
def test_while_earlier_turns_are_summarised_the_message_stays(broken, error):
    chat = after_one(n_ctx=700, on_full="summarize")
    for number in range(3):
        chat.ask(f"question {number} {'x' * 100}")
    before = said(chat)
    broken(error)
    text = f"the last {'x' * 100}"
    with pytest.raises(type(error)):
        chat.ask(text)
    assert said(chat) == ([*before, ("user", text, "interrupted")] if error is SIGNAL else before)
    assert chat.given == ([] if error is SIGNAL else [text])
    assert chat.conversation.forgotten == 0


def test_an_answer_that_was_cut_continues_in_the_same_message(capsys):
    chat = made("First half, second half.")
    run_command("/set n_predict 11", chat)
    chat.ask("Say")
    assert said(chat)[-1][:2] == ("assistant", "First half,")
    number = chat.conversation.head
    run_command("/set n_predict -1", chat)
    capsys.readouterr()
    run_command("/continue", chat)
    assert said(chat)[1:] == [("assistant", "First half, second half.", "done")]
    assert chat.conversation.head == number
    assert chat.last.text == "First half, second half."
    with pytest.raises(UsageError, match="no answer that was cut"):
        run_command("/continue", chat)


@pytest.mark.parametrize("error", [SIGNAL, CTRL_C, "stopped"], ids=repr)
@pytest.mark.parametrize("words", ["", "more"])
def test_an_answer_that_continues_and_is_interrupted_again_loses_nothing(broken, words, error):
    chat = made("First half, second half.")
    run_command("/set n_predict 11", chat)
    chat.ask("Say")
    before = said(chat)[-1]
    broken(error, words)
    if error == "stopped":
        run_command("/continue", chat)
    else:
        with pytest.raises(type(error)):
            run_command("/continue", chat)
    assert said(chat)[-1] == (("assistant", "First half,more ", "interrupted") if words else before)
    assert len(everything(chat)) == 2


def test_there_is_nothing_to_continue_in_an_empty_chat():
    with pytest.raises(UsageError, match="no answer that was cut"):
        run_command("/continue", made())


def test_the_stop_that_frees_the_last_text_is_kept(monkeypatch):
    chat = after_one()

    def spoken(self, _prompt, sink, _n_begun=0):
        sink.event(Token("", 1))
        sink.event(Stop("é", "cancelled"))
        raise SystemExit(143)

    monkeypatch.setattr(Responder, "answer", spoken)
    with pytest.raises(SystemExit):
        chat.ask("two")
    assert said(chat)[-1] == ("assistant", "é", "interrupted")
