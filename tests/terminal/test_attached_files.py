"""/file on a chat with a scripted model: what is attached, measured, refused and completed."""

import pytest
from scripted_chat import prompts, talk

from llamachat.errors import ContextFull, UsageError
from llamachat.terminal.commands import complete, run_command
from llamachat.terminal.commands.hints import hinted


def test_a_file_goes_before_the_next_message(make, tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk")
    chat = make()
    run_command(f"/file {path}", chat)
    assert "17 tokens" in capsys.readouterr().out
    chat.ask("What?")
    assert "File notes.txt:\n```\nremember the milk\n```\n\nWhat?" in prompts(chat)[0]
    chat.ask("And?")
    assert talk(chat)[2] == ("user", "And?")


def test_a_file_that_is_attached_goes_along_into_a_copy_of_the_chat(make, tmp_path):
    (tmp_path / "notes.txt").write_text("remember the milk")
    chat = make()
    chat.ask("Hello")
    run_command(f"/file {tmp_path / 'notes.txt'}", chat)
    run_command("/fork", chat)
    chat.ask("What?")
    assert "remember the milk" in talk(chat)[2][1]
    assert chat.attached == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"a\0b", "a binary file"),
        (b"x" * 5000, "5000 tokens, but the context has room for 40"),
        (None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_attached_is_refused(make, tmp_path, content, said):
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        run_command(f"/file {path}", make())


def test_what_is_no_file_is_not_read(make):
    with pytest.raises(UsageError, match="/dev/zero is not a file"):
        run_command("/file /dev/zero", make())
    with pytest.raises(UsageError, match="no such home directory"):
        run_command("/file ~nobody-of-this-name/x", make())


def test_several_files_are_measured_together_and_can_be_taken_back(make, tmp_path, capsys):
    path = tmp_path / "a.txt"
    path.write_text("y" * 250)
    chat = make(n_ctx=400)
    run_command(f"/file {path}", chat)
    with pytest.raises(UsageError, match=r"250 tokens, but the context has room for \d+$"):
        run_command(f"/file {path}", chat)
    with pytest.raises(ContextFull) as refused:
        chat.ask("z" * 200)
    assert hinted(refused.value, chat).endswith("or /file - (takes the attached files back)")
    run_command("/file -", chat)
    assert "1 file taken back" in capsys.readouterr().out
    chat.ask("z" * 200)
    assert talk(chat)[0] == ("user", "z" * 200)


def test_where_the_talk_has_to_stay_a_file_must_fit_beside_it(make, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("y" * 100)
    chat = make(n_ctx=400, on_full="stop")
    run_command(f"/file {path}", chat)
    run_command("/file -", chat)
    chat.ask("x" * 260)
    with pytest.raises(UsageError, match="has room for"):
        run_command(f"/file {path}", chat)


def test_a_file_with_fences_stays_one_block(make, tmp_path):
    path = tmp_path / "a.md"
    path.write_text("```py\n1\n```")
    chat = make()
    run_command(f"/file {path}", chat)
    chat.ask("What?")
    assert talk(chat)[0][1] == "File a.md:\n````\n```py\n1\n```\n````\n\nWhat?"


def test_paths_are_completed(make, tmp_path):
    (tmp_path / "one.txt").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / ".hidden").write_text("")
    found = complete(f"/file {tmp_path}/o", make())
    assert [one.text for one in found] == [f"{tmp_path}/one.txt", f"{tmp_path}/other/"]
    assert len(complete(f"/export {tmp_path}/", make())) == 2
    assert [one.text for one in complete(f"/export {tmp_path}/a js", make())] == [
        f"{tmp_path}/a json",
        f"{tmp_path}/a jsonl",
    ]
    assert complete("/file ~nobody-of-this-name/", make()) == []
