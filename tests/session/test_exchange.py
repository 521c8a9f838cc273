"""Chats to and from other programs."""

import json
import sqlite3

import pytest

from llamachat.errors import UsageError
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.exports import WRITERS, Exported
from llamachat.session.exports import exported as all_of
from llamachat.session.imports import read_chats


@pytest.fixture
def store(tmp_path):
    with ChatStore(tmp_path / "data" / "chats.db") as opened:
        yield opened


@pytest.fixture
def exported(store):
    chat = store.create("smollm2", "mine", {"temp": 0.5})
    first = store.add(chat, None, StoredMessage(0, None, "user", "Is 1 < 2 & <b>?\nSay é 漢", extra={"file": "a"}))
    one = store.add(chat, first, StoredMessage(0, None, "assistant", "Yes", "interrupted"))
    store.add(chat, first, StoredMessage(0, None, "assistant", "No"))
    store.set_head(chat, one)
    return all_of(store, chat)


def read(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_chats(path))


def test_exported_as_json_and_imported_again_is_identical(exported, tmp_path):
    (chat,) = read(tmp_path, WRITERS["json"](exported))
    with ChatStore(tmp_path / "other" / "chats.db") as other:
        assert WRITERS["json"](all_of(other, other.keep(chat))) == WRITERS["json"](exported)


def test_json_lines_have_the_talk_and_come_back(exported, tmp_path):
    line = WRITERS["jsonl"](exported)
    assert json.loads(line) == {
        "messages": [
            {"role": "user", "content": "Is 1 < 2 & <b>?\nSay é 漢"},
            {"role": "assistant", "content": "Yes"},
        ]
    }
    chats = read(tmp_path, line * 2)
    assert [[one.content for one in chat.messages] for chat in chats] == [["Is 1 < 2 & <b>?\nSay é 漢", "Yes"]] * 2


def test_json_lines_may_have_other_line_separators_inside(tmp_path):
    line = '{"messages": [{"role": "user", "content": "a\u2028b\x85c\x0c"}]}\n'.replace("\x0c", "\\f")
    assert [chat.messages[0].content for chat in read(tmp_path, line * 2)] == ["a\u2028b\x85c\x0c"] * 2


def test_markdown_is_the_talk_with_headings(exported):
    text = WRITERS["md"](exported)
    assert text.startswith("# Is 1 < 2 & <b>?\n\n## user\n\nIs 1")
    assert "## assistant (interrupted)\n\nYes" in text
    assert "No" not in text


def test_html_holds_nothing_that_is_executed_or_loaded():
    evil = StoredMessage(1, None, '"><script>', "<script>alert(1)</script> <img src=http://x>")
    page = WRITERS["html"](Exported("<b>", [evil], [evil]))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert" in page


def test_sharegpt_is_read(tmp_path):
    entries = [
        {
            "conversations": [
                {"from": "system", "value": "S"},
                {"from": "human", "value": "Q"},
                {"from": "gpt", "value": "A"},
            ]
        }
    ]
    (chat,) = read(tmp_path, json.dumps(entries))
    assert [(one.role, one.content) for one in chat.messages] == [("system", "S"), ("user", "Q"), ("assistant", "A")]
    assert [one.parent for one in chat.messages] == [None, 1, 2]


def test_what_else_a_message_has_is_kept(tmp_path):
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    line = {"messages": [call, parts]}
    (chat,) = read(tmp_path, json.dumps(line))
    assert chat.messages[0].extra == {"tool_calls": [{"id": "x"}]}
    assert [one.content for one in chat.messages] == ["", "ab"]


def test_the_log_database_of_llm_is_read(tmp_path):
    path = tmp_path / "logs.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE responses (id TEXT, model TEXT, prompt TEXT, system TEXT, response TEXT, "
            "conversation_id TEXT, datetime_utc TEXT)"
        )
        rows = [
            ("2", "gpt", "Q2", None, "A2", "c1", "2026-01-02T00:00:00"),
            ("1", "gpt", "Q1", "S", "A1", "c1", "2026-01-01T00:00:00"),
            ("3", "phi", "Q", None, "A", "c2", "2026-01-03T00:00:00+00:00"),
        ]
        connection.executemany("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    first, second = read_chats(path)
    assert [one.content for one in first.messages] == ["S", "Q1", "A1", "Q2", "A2"]
    assert (first.model, second.model) == ("gpt", "phi")
    assert first.messages[1].created == 1767225600.0


def test_newer_log_databases_of_llm_tell_more(tmp_path):
    path = tmp_path / "logs.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE responses (id TEXT, model TEXT, prompt TEXT, system TEXT, response TEXT, "
            "conversation_id TEXT, datetime_utc TEXT, duration_ms INTEGER, input_tokens INTEGER, output_tokens INTEGER)"
        )
        rows = [(str(n), "gpt", "Q", None, "A", None, "2026-01-02T00:00:00", 1500, 7, None) for n in range(2)]
        connection.executemany("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    chats = list(read_chats(path))
    assert len(chats) == 2  # without a conversation each is one of its own
    assert chats[0].messages[1].extra == {"model": "gpt", "n_prompt": 7, "generation_s": 1.5}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "there is no chat in it"),
        ("[]", None),
        ("nonsense", ":1: this line is not JSON"),
        ('{"messages": []}\n{', ":2: this line is not JSON"),
        ("[1]", "chat 1: there are no"),
        ('{"messages": [{"content": "x"}]}', "message 1: there is no role"),
        ('{"messages": [{"role": "user", "content": 1}]}', "the content is no text"),
        ('{"conversations": [{"from": "alien", "value": "x"}]}', '"from" and "value"'),
        ('{"messages": [{"id": 1, "parent": 2, "role": "user", "content": "x"}]}', "parent does not come before"),
        (
            '{"messages": [{"id": 1, "parent": null, "role": "u"}, {"id": 1, "parent": null, "role": "u"}]}',
            "parent does not",
        ),
        (b"\xff\xfe\x00", "neither JSON nor a database"),
        (b"SQLite format 3\0" + b"\0" * 100, "log database of llm"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path, content, said):
    if said is None:
        assert read(tmp_path, content) == []
    else:
        with pytest.raises(UsageError, match=said):
            read(tmp_path, content)
