"""The branches of a chat: drawn, gone to, edited at any message; what is taken back can be sent again."""

import re

import pytest
from scripted_chat import talk

from llamachat.errors import UsageError
from llamachat.session.chats import StoredMessage
from llamachat.terminal import pager
from llamachat.terminal.commands import complete, run_command
from llamachat.terminal.commands.branches import branches_of, drawing


def rows(text):
    """(branch, whether it is this one, the rest) of a drawing."""
    found = [re.match(r"( *\d*)([* ]) (.*)", line) for line in text.splitlines()]
    return [(one[1].strip(), one[2] == "*", one[3]) for one in found if one and ": " in one[3]]


def test_the_tree_says_who_spoke_what_and_when(make, capsys):
    chat = make("Apples.", "More.")
    chat.ask("Name fruits")
    run_command("/regen", chat)
    chat.ask("And?")
    capsys.readouterr()
    run_command("/branches", chat)
    found = rows(capsys.readouterr().out)
    assert [one[:2] for one in found] == [("", True), ("1", False), ("2", True), ("2", True), ("2", True)]
    assert [re.sub(r"  \d\d:\d\d$", "", one[2]) for one in found] == [
        "you: Name fruits", "├ model: Apples.", "└ model: Apples.", "  you: And?", "  model: More.",
    ]  # fmt: skip
    assert all(re.search(r"\d\d:\d\d$", one[2]) for one in found)


def test_a_branch_is_gone_to_by_its_number(make, capsys):
    chat = make("Apples.", "More.")
    chat.ask("Name fruits")
    run_command("/regen", chat)
    chat.ask("And?")
    run_command("/switch 1", chat)
    assert capsys.readouterr().out.endswith("Apples.\n")  # the loop sets the blank line behind it
    assert talk(chat) == [("user", "Name fruits"), ("assistant", "Apples.")]
    run_command("/switch 2", chat)
    assert talk(chat)[-1] == ("assistant", "More.")
    assert [one.text for one in complete("/switch ", chat)] == ["1", "2"]
    for words in ("", "0", "3", "x", "-1"):
        with pytest.raises(UsageError, match="branches 1 to 2"):
            run_command(f"/switch {words}", chat)
    with pytest.raises(UsageError, match="already"):
        run_command("/switch 2", chat)


def test_an_answer_of_another_branch_has_its_figures_and_its_alternatives(make, capsys):
    chat = make("ab", "cd")
    chat.ask("Say")
    run_command("/regen", chat)
    run_command("/switch 1", chat)
    capsys.readouterr()
    run_command("/why", chat)
    assert "'a'" in capsys.readouterr().out
    run_command("/stats", chat)
    assert "answer 2 tokens" in capsys.readouterr().out


def test_a_branch_in_which_other_messages_were_forgotten_remembers_its_own(make):
    chat = make("A", "B", "C")
    chat.ask("one")
    chat.ask("two")
    chat.conversation.set(forgotten=2, summary="one was said")
    run_command("/undo 2", chat)
    chat.ask("three")
    chat.conversation.set(forgotten=1, summary="three was said")
    run_command("/switch 1", chat)
    assert (chat.conversation.forgotten, chat.conversation.summary) == (0, "")


def test_long_runs_are_drawn_by_their_ends():
    tree = [StoredMessage(n, n - 1 or None, "user", str(n)) for n in range(1, 5001)]
    found = drawing(tree)
    assert [row.message.id for row in found] == [1, 2, 4999, 5000]
    assert [row.n_left_out for row in found] == [0, 4996, 0, 0]


def test_branches_of_branches_are_drawn_below_one_another():
    parents = {1: None, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 1, 8: None}
    tree = [StoredMessage(n, parent, "user", str(n)) for n, parent in parents.items()]
    found = [(row.lines, row.message.id, row.branch) for row in drawing(tree)]
    assert found == [
        ("├ ", 1, None),
        ("│ ├ ", 2, None),
        ("│ │ ├ ", 3, 1),
        ("│ │ └ ", 4, None),
        ("│ │   ├ ", 5, 2),
        ("│ │   └ ", 6, 3),
        ("│ └ ", 7, 4),
        ("└ ", 8, 5),
    ]
    assert [one.id for one in branches_of(tree)] == [3, 5, 6, 7, 8]


def test_an_earlier_message_is_edited_and_the_new_one_is_shown(make, capsys):
    chat = make("A", "B", "C")
    chat.ask("one")
    chat.ask("two")
    seen = []
    chat.editor = lambda text: (seen.append(text), "uno\n")[1]
    run_command("/edit 1", chat)
    assert seen == ["one"]
    assert "> uno" in capsys.readouterr().out
    assert talk(chat) == [("user", "uno"), ("assistant", "C")]
    assert len(branches_of(chat.conversation.store.tree_of(chat.conversation.chat))) == 2
    for words in ("2", "0", "x"):
        with pytest.raises(UsageError):
            run_command(f"/edit {words}", chat)


def test_what_is_taken_back_is_in_the_input_line_with_its_files(make, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("a\n```\nb")
    chat = make("A", "B")
    run_command(f"/file {path}", chat)
    chat.ask("first\nline")
    chat.ask("second")
    run_command("/undo 2", chat)
    assert chat.draft == "first\nline"
    assert chat.attached == [("notes.txt", "a\n```\nb")]
    assert talk(chat) == []


def test_the_editor_gets_a_message_without_its_files(make, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("remember")
    chat = make("A", "B")
    run_command(f"/file {path}", chat)
    chat.ask("What?")
    chat.editor = lambda text: text.replace("What", "Why")
    run_command("/edit", chat)
    assert talk(chat)[0] == ("user", "File notes.txt:\n```\nremember\n```\n\nWhy?")
    assert chat.attached == []


def test_a_file_whose_name_is_deleted_in_the_editor_goes_and_what_stays_is_said(make, tmp_path, capsys):
    chat = make("A", "B")
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(f"in {name}")
        run_command(f"/file {tmp_path / name}", chat)
    chat.ask("Sum up one.txt and two.txt")
    capsys.readouterr()
    chat.editor = lambda text: text.replace(" and two.txt", "")
    run_command("/edit", chat)
    assert talk(chat)[0] == ("user", "File one.txt:\n```\nin one.txt\n```\n\nSum up one.txt")
    said = "(no longer attached: two.txt; still attached: one.txt; to remove: /undo, then /file -)"
    assert said in capsys.readouterr().out


def test_the_whole_chat_is_shown(make, capsys):
    chat = make("A", "B")
    run_command("/history", chat)
    assert "(an empty chat)" in capsys.readouterr().out
    chat.ask("one")
    chat.ask("two")
    capsys.readouterr()
    run_command("/history", chat)
    said = capsys.readouterr().out
    assert [re.sub(r"  \d\d:\d\d$", "", line) for line in said.splitlines() if line] == [
        "[1] you", "one", "model", "A", "[2] you", "two", "model", "B",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "shown"), [("cat > {}", True), ("/no/such/pager", False), ("'", False), (" ", True)]
)
def test_a_long_text_goes_to_the_pager(tmp_path, monkeypatch, command, shown):
    kept = tmp_path / "shown"
    script = tmp_path / "pager"
    script.write_text(f"#!/bin/sh\nexec cat > {kept}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PAGER", str(script) if "cat" in command else command)
    monkeypatch.setattr(pager, "terminal_size", lambda: (80, 24))
    text = "line\n" * 30
    if command == " ":
        monkeypatch.setenv("PAGER", str(script))
        text = "short"
        assert not pager.paged(text)
        return
    assert pager.paged(text) is shown
    assert not shown or kept.read_text() == text
