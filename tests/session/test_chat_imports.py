"""Chats of other programs: bare messages, ChatGPT's export, standard input; and what is too much."""

import io
import json
import random
import sqlite3
import sys
import zipfile
from contextlib import suppress

import pytest

from llamachat.errors import UsageError
from llamachat.session import import_chatgpt, imports
from llamachat.session.chats import ChatStore
from llamachat.session.exports import WRITERS, exported
from llamachat.session.imports import read_chats

USER, ANSWER = {"role": "user", "content": "Name three fruits."}, {"role": "assistant", "content": "Plum, fig, pear."}


def read(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_chats(path))


def said(chat):
    return [(one.role, one.content) for one in chat.messages]


def test_halves_of_characters_come_into_no_part_of_a_chat(tmp_path, own_home):
    half = "\ud800"
    message = {**USER, "content": f"{half} and \U0001f600", "extra": {"name": half}}
    chat = {"messages": [message], "settings": {"set": {"stop": half}, "system": half}, "title": half}
    (found,) = read(tmp_path, json.dumps(chat))
    assert (found.title, found.settings) == ("?", {"set": {"stop": "?"}, "system": "?"})
    assert said(found) == [("user", "? and \U0001f600")]
    assert found.messages[0].extra["name"] == "?"
    with ChatStore(tmp_path / "chats.db") as store:
        number = store.create("m", settings={"system": half})
        assert store.settings(number) == {"system": "?"}


LINES = "\n".join(map(json.dumps, (USER, ANSWER)))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([USER, ANSWER]),
        json.dumps([[USER, ANSWER]]),
        json.dumps([USER, ANSWER], indent=2),
        LINES,
        f"{LINES}\n\n",
        f"\ufeff{LINES}",
        json.dumps({"messages": [USER, ANSWER]}),
    ],
)
def test_bare_messages_are_one_chat(tmp_path, content):
    (chat,) = read(tmp_path, content)
    assert said(chat) == [("user", "Name three fruits."), ("assistant", "Plum, fig, pear.")]
    assert chat.head == chat.messages[-1].id
    assert [one.parent for one in chat.messages] == [None, chat.messages[0].id]


def test_lines_of_bare_lists_are_a_chat_each(tmp_path):
    assert [said(chat) for chat in read(tmp_path, f"{json.dumps([USER])}\n{json.dumps([ANSWER])}")] == [
        [("user", "Name three fruits.")],
        [("assistant", "Plum, fig, pear.")],
    ]


def test_one_message_is_a_chat(tmp_path):
    assert [said(chat) for chat in read(tmp_path, json.dumps(USER))] == [[("user", "Name three fruits.")]]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (json.dumps([USER, 5]), "message 2: there is no role"),
        (json.dumps([USER, {"role": 5}]), "message 2: there is no role"),
        (f"{LINES}\n5", ":3: there is no role"),
        (f"{LINES}\n{{", ":3: this line is not JSON"),
        (json.dumps([{**USER, "id": 1, "parent": [1]}]), "parent does not come before"),
        ('{"mapping": 5}', 'no "messages", "conversations" or "mapping"'),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(tmp_path, content, place):
    with pytest.raises(UsageError, match=place):
        read(tmp_path, content)


def node(key, parent, role=None, text="", kind="text", **more):
    content = {"content_type": kind, **({"parts": [text]} if kind == "text" else {}), **more.pop("content", {})}
    message = {"author": {"role": role}, "content": content, **more}
    return {key: {"id": key, "parent": parent, "children": [], "message": message if role else None}}


def conversation(**changes):
    mapping = {
        **node("root", None),
        **node("hidden", "root", "system", "told", metadata={"is_visually_hidden_from_conversation": True}),
        **node("empty", "hidden", "system", ""),
        **node("q", "empty", "user", "Why?", create_time=1.7e9),
        **node("t", "q", "assistant", kind="thoughts", content={"thoughts": [{"summary": "So", "content": "hm"}]}),
        **node("a", "t", "assistant", "Because.", metadata={"model_slug": "gpt-9"}, create_time=1.7e9 + 1),
        **node("b", "q", "assistant", "Dunno."),
        **node("c", "a", "assistant", kind="code", content={"text": "print(1)"}, recipient="python"),
        **node("r", "c", "tool", kind="execution_output", content={"text": "1"}),
        **node("i", "r", "user", kind="multimodal_text", content={"parts": ["see", {"content_type": "image"}, None]}),
    }
    told = {"title": "On why", "create_time": 1.7e9, "update_time": 1.7e9 + 9, "current_node": "i", "mapping": mapping}
    return {**told, **changes}


WHOLE = ["Why?", "Because.", "print(1)", "1", "see\n[image]"]


def kept(chat):
    with ChatStore(None) as store:
        number = store.keep(chat)
        assert store.damage_of(number) == []
        for form in WRITERS:
            WRITERS[form](exported(store, number))
        return [one.content for one in store.path_of(number)], len(store.tree_of(number)), store.summary(number)


def test_an_export_of_chatgpt_is_a_tree(tmp_path):
    (chat,) = read(tmp_path, json.dumps([conversation()]))
    path, n_messages, summary = kept(chat)
    assert (path, n_messages) == (WHOLE, 6)
    assert (summary.title, summary.model, summary.created) == ("On why", "gpt-9", 1.7e9)
    answer = next(one for one in chat.messages if one.content == "Because.")
    assert answer.extra == {"model": "gpt-9", "thoughts": "So\nhm"}
    assert answer.created == 1.7e9 + 1


@pytest.mark.parametrize(
    ("current", "path"),
    [("b", ["Why?", "Dunno."]), ("t", ["Why?"]), ("root", WHOLE), ("absent", WHOLE), (5, WHOLE), (None, WHOLE)],
)
def test_the_chat_continues_where_it_was(tmp_path, current, path):
    (chat,) = read(tmp_path, json.dumps(conversation(current_node=current)))
    assert kept(chat)[0] == path


def test_a_conversation_without_messages_is_an_empty_chat(tmp_path):
    (chat,) = read(tmp_path, json.dumps(conversation(mapping={})))
    assert kept(chat)[:2] == ([], 0)


OURS = {
    "format": "llamachat chat 1",
    "name": "mine",
    "title": "t",
    "model": "m",
    "settings": {"system": "S", "forgotten": 1, "set": {"temp": "0.2"}},
    "created": 1.7e9,
    "updated": 1.7e9,
    "head": 2,
    "messages": [
        {"id": 1, "parent": None, **USER, "state": "done", "created": 1.7e9, "extra": {"file": "a"}},
        {"id": 2, "parent": 1, **ANSWER, "state": "partial", "extra": {"tool_calls": [{"name": "f"}]}},
        {"id": 3, "parent": 1, "role": "assistant", "content": [{"type": "text", "text": "x"}]},
    ],
}
SHAREGPT = {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}], "id": "x"}


@pytest.mark.parametrize(
    "document", [conversation(), OURS, SHAREGPT, [USER, ANSWER]], ids=["chatgpt", "ours", "s", "l"]
)
def test_any_damage_to_a_chat_is_taken_or_refused(tmp_path, document):
    chance, odd = random.Random(5), [None, 5, "x", [], {}, [[]], 1e300, 10**40, -1, True, {"role": []}, "q", "12", "a"]

    def damaged(value):
        if chance.random() < 0.05:
            return chance.choice(odd)
        if isinstance(value, dict):
            return {key: damaged(one) for key, one in value.items() if chance.random() < 0.98}
        return [damaged(one) for one in value] if isinstance(value, list) else value

    for _ in range(150):
        try:
            chats = read(tmp_path, json.dumps([damaged(document)]))
        except UsageError:
            continue
        for chat in chats:
            kept(chat)


def packed(**files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_dot_", ".").replace("_in_", "/"), content)
    return memory.getvalue()


def test_the_zip_file_of_chatgpt_is_read(tmp_path):
    one = json.dumps([conversation(), conversation(title="two")])
    content = packed(chat_dot_html="x", export_in_conversations_dot_json=one)
    assert [chat.title for chat in read(tmp_path, content)] == ["On why", "two"]


def test_zip_files_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    whole = packed(conversations_dot_json=json.dumps([conversation()] * 20))
    with pytest.raises(UsageError, match=r"no conversations\.json"):
        read(tmp_path, packed(other_dot_json="[]"))
    chance = random.Random(1)
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(2, len(content))] = chance.randrange(256)
        length = chance.choice((len(content), chance.randrange(4, len(content))))
        with suppress(UsageError):
            read(tmp_path, bytes(content[:length]))
    monkeypatch.setattr(import_chatgpt, "LARGEST", 1000)
    with pytest.raises(UsageError, match="its conversations have more than"):
        read(tmp_path, whole)


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(imports, "LARGEST", 1000)
    with pytest.raises(UsageError, match="too much for one import"):
        read(tmp_path, " " * 1001)


def test_standard_input_may_be_any_of_them(tmp_path, monkeypatch):
    path = tmp_path / "logs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        names = "id, model, system, prompt, response, conversation_id, datetime_utc"
        connection.execute(f"CREATE TABLE responses ({names})")
        connection.execute("INSERT INTO responses VALUES (1, 'm', '', 'Q', 'A', NULL, '')")
    connection.close()
    for content in (path.read_bytes(), LINES.encode(), packed(conversations_dot_json=json.dumps(conversation()))):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert len(list(read_chats(None))) == 1
