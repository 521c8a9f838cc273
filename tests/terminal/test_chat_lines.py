"""Lines that are no commands and mean something all the same, and what a command does not take."""

import os
from pathlib import Path

import pytest
from scripted_chat import prompts, talk

from llamachat.errors import UsageError
from llamachat.terminal.commands import COMMANDS, complete, grouped, respond, run_command, shell
from llamachat.terminal.commands.guide import EXAMPLES
from llamachat.terminal.commands.other_names import OTHER_NAMES
from llamachat.terminal.input.message import Typed
from llamachat.terminal.paths import path_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with files."""
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "two words.md", "it's.txt", "größe.txt"):
        (tmp_path / name).write_text(f"In {name}.")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("x = 1")
    (tmp_path / "raw.bin").write_bytes(b"a\0b")
    return tmp_path


def say(chat, line, literal=False):
    return respond(Typed(line, literal), chat)


@pytest.mark.parametrize("word", ["exit", "quit", " Exit ", "/quit", "/exit", "/bye", "/BYE"])
def test_words_that_quit(make, word):
    assert not say(make(), word)


@pytest.mark.parametrize("word", ["exit now", "quits", "bye"])
def test_words_that_do_not(make, word):
    chat = make()
    assert say(chat, word)
    assert talk(chat)[0] == ("user", word)


def test_a_pasted_word_is_a_message(make):
    chat = make("A", "B", "C")
    for word in ("exit", "?", "!ls"):
        assert say(chat, word, literal=True)
    assert [content for role, content in talk(chat) if role == "user"] == ["exit", "?", "!ls"]


def test_a_question_mark_shows_the_keys_and_a_slash_the_commands(make, capsys):
    chat = make()
    for line in ("?", "/", "/?", "/help"):
        assert say(chat, line)
        out = capsys.readouterr().out
        assert "Ctrl+R" in out if line == "?" else all(command.name in out for command in COMMANDS)
    assert talk(chat) == []


@pytest.mark.parametrize("command", [one.name for one in COMMANDS if not one.arguments])
def test_words_that_a_command_does_not_take_are_refused(make, command):
    chat = make()
    chat.ask("Hello")
    before = talk(chat)
    with pytest.raises(UsageError, match=f"{command.replace('?', '.')} takes no words"):
        run_command(f"{command} everything", chat)
    assert talk(chat) == before


@pytest.mark.parametrize(
    ("word", "way"),
    [
        ("/search", "/sessions WORDS does that"),
        ("/serch", "did you mean /sessions WORDS"),
        ("/regn", "did you mean /regen"),
        ("/Exti", "did you mean /exit"),
        ("/compact", "on_full summarize"),
        ("/clera", "did you mean /clear"),
        ("/zebra", "/help lists"),
        ("/clearance", "/help lists"),
    ],
)
def test_what_is_no_command_leads_to_one_or_to_the_list(make, word, way):
    with pytest.raises(UsageError, match=way.replace("?", ".")):
        run_command(word, make())


def test_other_names_are_no_commands_and_lead_to_some():
    names = {one.name for one in COMMANDS}
    assert not names & OTHER_NAMES.keys()
    for way in OTHER_NAMES.values():
        assert any(way.split()[0].rstrip(",") == name for name in names) or way.split()[0] in (
            "llamachat", "Ctrl+X", "!COMMAND",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("notes.txt", "notes.txt"),
        ("'notes.txt'", "notes.txt"),
        (r"two\ words.md", "two words.md"),
        ('"two words.md"', "two words.md"),
        ("two words.md", "two words.md"),
        ("it's.txt", "it's.txt"),
        (r"it\'s.txt", "it's.txt"),
        ("file://{here}/two%20words.md", "two words.md"),
        ("file://localhost{here}/gr%C3%B6%C3%9Fe.txt", "größe.txt"),
        ("file:{here}/notes.txt", "notes.txt"),
        ("{here}/sub/../notes.txt", "notes.txt"),
    ],
)
def test_a_path_is_understood_as_it_is_dropped(here, make, typed, name):
    chat = make()
    run_command(f"/file {typed.format(here=here)}", chat)
    assert chat.attached == [(name, f"In {name}.")]


def test_a_path_that_is_none_stays_as_it_was(here):
    assert path_of("nosuch file.txt") == Path("nosuch file.txt")
    assert path_of("'unclosed") == Path("'unclosed")
    with pytest.raises(UsageError, match="home directory"):
        path_of("~nobody-of-this-name/x")


@pytest.mark.parametrize(
    ("message", "names", "asked"),
    [
        ("Sum up @notes.txt", ["notes.txt"], "Sum up notes.txt"),
        ("Sum up @notes.txt, please.", ["notes.txt"], "Sum up notes.txt, please."),
        (r"@two\ words.md or @sub/a.py?", ["two words.md", "a.py"], "two words.md or sub/a.py?"),
        ('Read @"two words.md" and (again) @notes.txt', ["two words.md", "notes.txt"],
         "Read two words.md and (again) notes.txt"),
        ("mail me@notes.txt or @home", [], "mail me@notes.txt or @home"),
        ("@@notes.txt is a name", [], "@notes.txt is a name"),
        ("what is @dataclass, and @types/node?", [], "what is @dataclass, and @types/node?"),
    ],
)  # fmt: skip
def test_a_file_is_attached_where_it_is_named(here, make, message, names, asked):
    chat = make()
    say(chat, message)
    sent = talk(chat)[0][1]
    assert sent.endswith(asked)
    assert [name for name in ("notes.txt", "two words.md", "a.py") if f"File {name}:\n" in sent] == sorted(
        names, key=["notes.txt", "two words.md", "a.py"].index
    )
    assert chat.attached == []


def test_a_file_alone_is_the_message_as_in_run(here, make):
    chat = make()
    say(chat, "@notes.txt")
    assert talk(chat)[0] == ("user", "In notes.txt.")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Sum up @nosuch.txt", "@nosuch.txt: there is no such file"),
        ("Sum up @sub/nosuch", "@sub/nosuch: there is no such file"),
        ("@notes.txt and @raw.bin", "binary"),
        ("look at @sub", "not a file"),
    ],
)
def test_a_file_that_cannot_be_attached_asks_nothing_and_gives_the_message_back(here, make, message, said):
    chat, back = make(), []
    chat.give_back = back.append
    with pytest.raises(UsageError, match=said):
        say(chat, message)
    assert (talk(chat), chat.attached, back) == ([], [], [message])


def test_an_empty_file_alone_is_no_message(here, make):
    chat = make()
    (here / "empty.txt").write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        say(chat, "@empty.txt")
    assert prompts(chat) == []


def test_pasted_text_attaches_nothing(here, make):
    chat = make()
    say(chat, "@notes.txt", literal=True)
    assert talk(chat)[0] == ("user", "@notes.txt")


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("@no", [("@notes.txt", 3)]),
        ("see @tw", [("@two\\ words.md", 3)]),
        ("see @two\\ w", [("@two\\ words.md", 7)]),
        ("@su", [("@sub/", 3)]),
        ("@sub/", [("@sub/a.py", 5)]),
        ("me@no", []),
        ("@@no", []),
        ("/file no", [("notes.txt", 2)]),
        ("/zebra @no", []),
    ],
)
def test_files_are_completed_after_an_at(here, make, text, offered):
    assert [(one.text, one.start) for one in complete(text, make())] == offered


def test_read_with_a_path_attaches_it(here, make, capsys):
    chat = make()
    run_command("/read notes.txt", chat)
    assert chat.attached == [("notes.txt", "In notes.txt.")]
    assert "goes before your next message" in capsys.readouterr().out


def test_a_shell_command_shows_its_output_cleaned_and_offers_it(make, capsys, monkeypatch):
    chat, asked = make(), []
    monkeypatch.setattr(shell, "agreed", lambda question: asked.append(question) or len(asked) == 1)
    say(chat, r"!printf 'one\n\033]0;title\007two\n'; echo three >&2; exit 3")
    out = capsys.readouterr().out
    assert "one\ntwo\nthree\n" in out
    assert "\x1b" not in out
    assert "(exit code 3)" in out
    assert "3 lines" in asked[0]
    assert [content for _, content in chat.attached] == ["one\ntwo\nthree\n"]
    say(chat, "! echo no")
    assert len(chat.attached) == 1
    say(chat, "!true")
    assert len(asked) == 2
    say(chat, "!!done")
    assert "one\ntwo\nthree" in prompts(chat)[-1]
    assert talk(chat)[0][1].endswith("!done")


@pytest.mark.parametrize(("line", "said"), [("!kill -TERM $$", "(ended by SIGTERM)"), ("!exit 7", "(exit code 7)")])
def test_how_a_shell_command_ended_is_said(make, capsys, line, said):
    say(make(), line)
    assert said in capsys.readouterr().out


def test_a_shell_command_that_leaves_something_running_is_not_waited_for(make, monkeypatch, tmp_path):
    chat = make()
    monkeypatch.setattr(shell, "agreed", lambda _question: True)
    os.mkfifo(tmp_path / "wait")
    say(chat, f"!echo begun; (read line < {tmp_path}/wait; echo late) &")
    assert [content for _, content in chat.attached] == ["begun\n"]
    (tmp_path / "wait").write_text("go\n")


def test_an_endless_output_is_cut_and_stopped_by_ctrl_c(make, monkeypatch, capsys):
    chat, own, pressed = make(), shell._Shown._put, []

    def interrupted(self, text):
        own(self, text)
        if self._is_full and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt

    monkeypatch.setattr(shell._Shown, "_put", interrupted)
    monkeypatch.setattr(shell, "LARGEST_OUTPUT", 100)
    monkeypatch.setattr(shell, "agreed", lambda _question: False)
    say(chat, "!yes")
    out = capsys.readouterr().out
    assert "(stopped)" in out
    assert len(out) < 1000


@pytest.mark.parametrize("line", ["!", "! "])
def test_no_shell_command_is_explained(make, line):
    with pytest.raises(UsageError, match="! needs a command"):
        say(make(), line)


ANSWER = "Text\n\n```python\nprint(1)\n```\n\n- and\n\n  ```\n  two\n  ```\n"


@pytest.mark.parametrize(
    ("words", "copied"),
    [
        ("", "Second."),
        ("1", ANSWER),
        ("2", "Second."),
    ],
)
def test_an_answer_is_copied_by_its_number(make, capsys, words, copied):
    chat = make(ANSWER, "Second.")
    chat.ask("one")
    chat.ask("two")
    run_command(f"/copy {words}", chat)
    assert f"Copied, {len(copied)} bytes" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "copied"), [("code", "block 2 of 2, 4"), ("code 1", "block 1 of 2, 9")])
def test_code_is_copied(make, capsys, words, copied):
    chat = make(ANSWER)
    chat.ask("one")
    run_command(f"/copy {words}", chat)
    assert f"Copied code {copied} bytes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [("3", "numbers 1 to 1"), ("0", "/copy takes"), ("x", "/copy takes"), ("1 2", "/copy takes"),
     ("code 3", "blocks 1 to 2"), ("code x", "/copy takes"), ("code 1 2", "/copy takes")],
)  # fmt: skip
def test_what_cannot_be_copied_is_said(make, words, said):
    chat = make(ANSWER)
    chat.ask("one")
    with pytest.raises(UsageError, match=said):
        run_command(f"/copy {words}", chat)


def test_models_are_listed(make, capsys):
    run_command("/models", make())
    assert "llamachat pull" in (out := capsys.readouterr().out) or "/model NAME" in out


def test_every_command_has_a_place_and_an_example():
    assert [heading for heading, _ in grouped() if heading == "Others"] == []
    for command in COMMANDS:
        line = EXAMPLES[command.name].line
        assert line.split()[0] == command.name
        assert command.arguments or line == command.name
