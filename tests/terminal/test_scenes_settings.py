"""What /set changed holds again when a chat is resumed, unless the command line says otherwise."""

from typing_at import CTRL_D


def test_settings_hold_again_when_a_chat_is_resumed(talk, tmp_path):
    person = talk("--session", "kept", answers=["Yes."])
    for line in ("/set temperature 0.25", '/set stop "THE END"', "/set ctx_size 2048", "Hello"):
        person.ask(line)
    person.type(CTRL_D)
    assert person.end() == 0
    person = talk("--session", "kept", "--temp", "0.5", answers=["Yes."])
    assert '(set in this chat: stop "THE END", ctx_size 2048)' in " ".join(person.text.split())
    person.ask("/set temp")
    assert "temp is 0.5" in person.text
    person.ask("/set num_ctx")
    assert "ctx_size is 2048" in person.text
    person.type(CTRL_D)
    assert person.end() == 0
    person = talk("--session", "kept", answers=["Yes."])
    person.ask("/set temp")
    assert "temp is 0.25" in person.text


def test_a_new_chat_knows_nothing_of_another_ones_settings(talk):
    person = talk("--session", "kept", answers=["Yes."])
    person.ask("/set temp 0.25")
    person.ask("Hello")
    person.type(CTRL_D)
    assert person.end() == 0
    person = talk(answers=["Yes."])
    assert "set in this chat" not in person.text
    person.ask("/set temp")
    assert "temp is 0.8" in person.text
    person.ask("/load kept")
    assert "(set in this chat: temp 0.25)" in person.text
