"""`llamachat sessions` on a database of chats."""

import json

import pytest

from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.history import InputHistory
from llamachat.session.places import database_path


@pytest.fixture
def kept(own_home):
    with ChatStore(database_path()) as store:
        for name, question in (("taxes", "How do taxes work? \x1b[31m"), (None, "Write a haiku")):
            chat = store.create("smollm2", name)
            first = store.add(chat, None, StoredMessage(0, None, "user", question))
            store.add(chat, first, StoredMessage(0, None, "assistant", "An answer about " + question))


def test_chats_are_listed_the_last_one_first(llamachat, kept):
    lines = llamachat("sessions").stdout.decode().splitlines()
    assert lines[0].split()[:3] == ["NUMBER", "NAME", "TITLE"]
    assert "Write a haiku" in lines[1]
    assert "taxes" in lines[2]
    assert "\x1b" not in "".join(lines)
    found = json.loads(llamachat("sessions", "list", "-o", "json").stdout)
    assert [one["name"] for one in found] == [None, "taxes"]


def test_without_chats_there_is_a_hint_and_no_error(llamachat):
    done = llamachat("sessions")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"llamachat chat" in done.stderr


def test_a_chat_is_shown_without_control_bytes(llamachat, kept):
    shown = llamachat("sessions", "show", "taxes").stdout.decode()
    assert shown.startswith("user:\nHow do taxes work?")
    assert "\x1b" not in shown
    messages = json.loads(llamachat("sessions", "show", "taxes", "-o", "json").stdout)["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant"]


def test_words_are_searched(llamachat, kept):
    assert b"haiku" in llamachat("sessions", "search", "haiku").stdout
    done = llamachat("sessions", "search", "nowhere")
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_chat_is_renamed_forked_and_deleted(llamachat, kept):
    assert llamachat("sessions", "rename", "Write a", "poem").returncode == 0
    assert llamachat("sessions", "fork", "poem", "second").stdout == b'forked as chat 3 "second"\n'
    assert b"Write a haiku" in llamachat("sessions", "show", "3").stdout
    refused = llamachat("sessions", "delete", "poem")
    assert (refused.returncode, b"--yes" in refused.stderr) == (2, True)
    assert llamachat("sessions", "delete", "poem", "--yes").returncode == 0
    assert llamachat("sessions", "show", "poem").returncode == 2
    assert b"Write a haiku" in llamachat("sessions", "show", "second").stdout
    assert llamachat("sessions", "gc").returncode == 0


@pytest.mark.parametrize("wanted", ["", " ", "Write a haiku", "Write", "3"])
def test_without_asking_only_what_is_told_exactly_is_deleted(llamachat, kept, wanted):
    done = llamachat("sessions", "delete", wanted, "--yes")
    assert (done.returncode, b"whole name or the number" in done.stderr) == (2, True)
    with ChatStore(database_path()) as store:
        assert len(store.latest()) == 2


def test_what_was_typed_in_a_deleted_chat_is_not_remembered(llamachat, kept):
    for text in ("Write a haiku", "/help", "How do taxes work? \x1b[31m"):
        InputHistory().append(text)
    assert llamachat("sessions", "delete", "taxes", "--yes").returncode == 0
    assert InputHistory().load() == ["Write a haiku", "/help"]


def test_a_file_that_cannot_be_kept_as_a_whole_is_not_kept(llamachat, kept, tmp_path):
    path = tmp_path / "chats.json"
    good = {"name": "a", "messages": [{"role": "user", "content": "one"}]}
    path.write_text(json.dumps([good, {"messages": [{"role": "user", "content": 5}]}]))
    assert llamachat("sessions", "import", str(path)).returncode == 2
    path.write_text(json.dumps([{**good, "name": "a\ud800"}, {**good, "name": "a\ud801"}]))
    assert llamachat("sessions", "import", str(path)).stdout.splitlines() == [
        b'imported as chat 3 "a?"',
        b'imported as chat 4 "one"',
    ]
    with ChatStore(database_path()) as store:
        assert [one.name for one in store.latest()] == [None, "a?", None, "taxes"]


def test_a_person_is_asked_before_a_chat_is_deleted(terminal, kept):
    for answer, code in (("n", 0), ("y", 0)):
        child = terminal("sessions", "delete", "taxes")
        child.expect_exact("with 2 messages? [y/N]")
        child.sendline(answer)
        child.expect(child_end())
        child.close()
        assert child.exitstatus == code
    with ChatStore(database_path()) as store:
        assert [one.name for one in store.latest()] == [None]


def test_a_chat_without_a_title_is_called_so_before_it_is_deleted(terminal, own_home):
    with ChatStore(database_path()) as store:
        store.create("smollm2")
    child = terminal("sessions", "delete", "1")
    child.expect_exact("Delete chat 1, (untitled), with 0 messages? [y/N]")
    child.sendline("n")
    child.expect(child_end())


def child_end():
    import pexpect

    return pexpect.EOF


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "missing CHAT: llamachat sessions show CHAT"),
        (["show", "a", "b"], "1 words at most"),
        (["show", "absent"], "there is no chat 'absent'"),
        (["search"], "sessions search WORDS"),
        (["rename"], "missing CHAT: llamachat sessions rename CHAT NAME"),
        (["rename", "taxes"], "missing NAME: llamachat sessions rename CHAT NAME"),
        (["import"], "missing FILE"),
        (["rename", "taxes", "12"], "cannot be named"),
        (["fork", "taxes", "12"], "cannot be named"),
        (["fork", "taxes", " "], "cannot be named"),
        (["list", "x"], "0 words at most"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_words_are_refused_in_one_sentence(llamachat, kept, arguments, said):
    done = llamachat("sessions", *arguments)
    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_the_path_is_told_and_can_be_chosen(llamachat, tmp_path):
    done = llamachat("sessions", "path", LLAMACHAT_DATA=str(tmp_path))
    assert done.stdout.decode().strip() == str(tmp_path / "chats" / "chats.db")


def test_a_database_that_cannot_be_read_is_said(llamachat, tmp_path):
    (tmp_path / "chats").mkdir()
    (tmp_path / "chats" / "chats.db").write_bytes(b"x" * 5000)
    done = llamachat("sessions", LLAMACHAT_DATA=str(tmp_path))
    assert done.returncode == 1
    assert b"chats.db" in done.stderr


def test_a_chat_is_exported_and_imported(llamachat, kept, tmp_path):
    path = tmp_path / "chat.json"
    assert llamachat("sessions", "export", "taxes", str(path)).returncode == 0
    assert llamachat("sessions", "import", str(path)).stdout.startswith(b"imported as chat 3 ")
    assert [one["v"] for one in json.loads(llamachat("sessions", "import", str(path), "-o", "json").stdout)] == [1]
    again = llamachat("sessions", "export", "3", "--format", "json").stdout
    old, new = json.loads(path.read_text()), json.loads(again)
    assert [one["content"] for one in new["messages"]] == [one["content"] for one in old["messages"]]
    assert new["name"] is None  # the name is taken
    assert b"## user" in llamachat("sessions", "export", "taxes").stdout
    assert llamachat("sessions", "import", str(tmp_path / "absent")).returncode == 2


def test_gc_takes_away_all_that_is_left_of_what_was_deleted(llamachat, kept):
    from llamachat.session.places import locks_folder, snapshots_folder

    folder = database_path().parent
    for name in ("chats.db.schema-1", "chats.db.schema-1.4711", "snapshots/77.safetensors", "locks/77.lock"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"haiku")
    (snapshots_folder() / ".77.safetensors.abcdefgh.part").write_bytes(b"haiku")
    done = llamachat("sessions", "delete", "2", "--yes")
    assert b"schema-1, a copy from before an update, may still contain the deleted text" in done.stderr
    assert llamachat("sessions", "gc").returncode == 0
    assert not list(folder.glob("chats.db.*"))
    assert not list(snapshots_folder().iterdir())
    assert not list(locks_folder().iterdir())
    assert b"haiku" not in b"".join(one.read_bytes() for one in folder.iterdir() if one.is_file())


def test_an_export_is_replaced_as_a_whole_and_is_its_owner_s(llamachat, kept, tmp_path):
    path = tmp_path / "chat.md"
    path.write_text("x" * 10_000)
    assert llamachat("sessions", "export", "taxes", str(path), "--yes").returncode == 0
    assert path.read_text().startswith("# How do taxes")
    assert path.stat().st_mode & 0o077 == 0
    assert [one.name for one in tmp_path.iterdir()] == ["chat.md"]
    assert llamachat("sessions", "export", "taxes", str(tmp_path / "chat.md" / "x")).returncode == 2
    assert llamachat("sessions", "export", "taxes", str(tmp_path / "absent" / "chat.md")).returncode == 2
    assert not (tmp_path / "absent").exists()


def test_an_export_has_no_control_bytes_on_a_terminal_and_is_exact_in_a_pipe(llamachat, terminal, kept):
    assert b"\x1b[31m" in llamachat("sessions", "export", "taxes").stdout
    child = terminal("sessions", "export", "taxes")
    child.expect_exact("An answer about")
    child.expect(child_end())
    assert "\x1b" not in child.before
    child.close()


def test_chats_are_imported_from_a_pipe(llamachat, tmp_path):
    line = json.dumps({"messages": [{"role": "user", "content": "a question"}]})
    assert llamachat("sessions", "import", "/dev/stdin", stdin=line.encode()).stdout == (
        b'imported as chat 1 "a question"\n'
    )
    assert b"a question" in llamachat("sessions", "show", "1").stdout
    empty = llamachat("sessions", "import", "/dev/stdin", stdin=b"\n")
    assert (empty.returncode, b"there is no chat in it" in empty.stderr) == (2, True)


def test_a_damaged_chat_is_shown_in_part_with_a_remark_and_deleted(llamachat, kept):
    with ChatStore(database_path()) as store:
        store._connection.execute("UPDATE chats SET settings = '{' WHERE id = 1")
        store._connection.execute("UPDATE messages SET parent = id WHERE chat = 1 AND parent IS NULL")
    for action in ("show", "export", "fork"):
        done = llamachat("sessions", action, "taxes")
        assert done.returncode == 0
        assert b"chat 1 is damaged: its settings" in done.stderr
        assert b"chat 1 is damaged: message 1 comes after itself" in done.stderr
    done = llamachat("chat", "--session", "taxes", stdin=b"more")
    assert (done.returncode, done.stderr.count(b"chat 1 is damaged")) == (0, 2)
    assert llamachat("sessions", "delete", "taxes", "--yes").returncode == 0
    assert llamachat("sessions", "show", "taxes").returncode == 2


def test_a_date_that_no_calendar_has_fails_no_list(llamachat, kept, tmp_path):
    with ChatStore(database_path()) as store:
        store._connection.execute("UPDATE chats SET updated = 1e20 WHERE id = 1")
    done = llamachat("sessions")
    assert (done.returncode, b"taxes" in done.stdout) == (0, True)


@pytest.mark.parametrize("name", ["chat.JSON", "chat.Html", "chat.MD", "chat.JsonL", "chat.markdown", "chat.ndjson"])
def test_endings_count_in_any_case(llamachat, kept, tmp_path, name):
    path = tmp_path / name
    assert llamachat("sessions", "export", "taxes", str(path)).returncode == 0
    starts = {"js": ("{",), "nd": ("{",), "ht": ("<!doctype",), "md": ("# ",), "ma": ("# ",)}
    assert path.read_text().startswith(starts[path.suffix[1:3].lower()])


@pytest.mark.parametrize("name", ["chat.pdf", "chat", "chat.json.bak", ".json", "chat."])
def test_an_ending_that_says_no_format_is_refused_unless_the_format_is_named(llamachat, kept, tmp_path, name):
    path = tmp_path / name
    done = llamachat("sessions", "export", "taxes", str(path))
    assert (done.returncode, b"--format" in done.stderr, path.exists()) == (2, True, False)
    assert llamachat("sessions", "export", "taxes", str(path), "--format", "json").returncode == 0
    assert json.loads(path.read_text())["name"] == "taxes"


def test_standard_output_is_a_file_name(llamachat, kept):
    assert b"## user" in llamachat("sessions", "export", "taxes", "-").stdout
    done = llamachat("sessions", "export", "taxes", "-", "--format", "jsonl")
    assert len(json.loads(done.stdout)["messages"]) == 2


def test_chats_come_from_standard_input(llamachat, kept):
    exported = llamachat("sessions", "export", "taxes", "-", "--format", "json").stdout
    done = llamachat("sessions", "import", "-", "--output", "json", stdin=exported)
    assert [(one["id"], one["name"]) for one in json.loads(done.stdout)] == [(3, None)]
    empty = llamachat("sessions", "import", "-")
    assert (empty.returncode, b"standard input: there is no chat in it" in empty.stderr) == (2, True)
    none = llamachat("sessions", "import", "-", stdin=b"[]")
    assert (none.returncode, b"there is no chat in it" in none.stderr) == (2, True)


def test_no_file_is_overwritten_unasked(llamachat, kept, tmp_path):
    path = tmp_path / "chat.md"
    path.write_text("precious")
    done = llamachat("sessions", "export", "taxes", str(path))
    assert (done.returncode, b"exists already" in done.stderr, path.read_text()) == (2, True, "precious")
    for sure in ("--yes", "--force"):
        path.write_text("precious")
        assert llamachat("sessions", "export", "taxes", str(path), sure).returncode == 0
        assert path.read_text().startswith("# How do taxes")


def test_a_person_is_asked_before_a_file_is_overwritten(terminal, kept, tmp_path):
    path = tmp_path / "chat.md"
    for answer, starts in (("n", "precious"), ("", "precious"), ("y", "# How do taxes")):
        path.write_text("precious")
        child = terminal("sessions", "export", "taxes", str(path))
        child.expect_exact("Overwrite it? [y/N]")
        child.sendline(answer)
        child.expect(child_end())
        child.close()
        assert child.exitstatus == 0
        assert path.read_text().startswith(starts)


def test_a_pipe_is_written_to_and_not_asked_about(llamachat, kept):
    assert b"## user" in llamachat("sessions", "export", "taxes", "/dev/stdout", "--format", "md").stdout


def test_a_forked_chat_is_told_to_scripts(llamachat, kept):
    made = json.loads(llamachat("sessions", "fork", "taxes", "copy", "-o", "json").stdout)
    assert [(one["id"], one["name"], one["n_messages"]) for one in made] == [(3, "copy", 2)]
