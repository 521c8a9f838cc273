"""Words are found whatever the script, and what is deleted is not in the file any more."""

import errno
import sqlite3

import pytest

from llamachat.session import database
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.database import CHATS, index_anew
from llamachat.session.searching import MARK, spaced

TEXTS = (
    "今天讨论了部署方案和备份",
    "用GPU部署vLLM服务器",
    "東京都に行きました。カタカナのテスト",
    "สวัสดีครับ วันนี้อากาศดีมาก",
    "서버를 배포했습니다",
    "plain words of cafe\u0301 and naïve people",
    "ｶﾞｲﾄﾞ 𠮷野家",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chats.db"


@pytest.fixture
def store(path):
    with ChatStore(path) as opened:
        for text in TEXTS:
            opened.add(opened.create("m"), None, StoredMessage(0, None, "user", text))
        yield opened


FOUND = [
    ("部署", [1, 0]), ("部署方案", [0]), ("备份", [0]), ("今天", [0]), ("署", [1, 0]), ("方署", []), ("署*", [1, 0]),
    ("GPU", [1]), ("gpu部署", [1]), ("vLLM", [1]), ("vL*", [1]), ("PU", []), ("服务器 GPU", [1]),
    ("東京", [2]), ("都", [2]), ("行き", [2]), ("カタ", [2]), ("テスト", [2]), ("テストの", []),
    ("อากาศ", [3]), ("ดี", [3]), ("วันนี้", [3]), ("ดิ", []),
    ("서버", [4]), ("배포", [4]),
    ("cafe", [5]), ("café", [5]), ("naive", [5]), ("peop*", [5]), ("eople", []),
    ("ｶﾞｲ", [6]), ("𠮷", [6]), ("野家", [6]),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "where"), FOUND)
def test_words_are_found_where_they_are(store, wanted, where):
    hits = store.search(wanted)
    assert [hit.excerpt for hit in hits] == [TEXTS[place] for place in where]


def test_an_answer_that_grows_is_found_by_what_it_says_now(store):
    chat = store.create("m")
    message = store.add(chat, None, StoredMessage(0, None, "assistant", "机"))
    store.update(message, "机器学习")
    assert [hit.message for hit in store.search("器学")] == [message]
    store.update(message, "plain")
    assert store.search("机") == []
    assert [hit.message for hit in store.search("plain")] == [message, 6]


def test_texts_of_other_scripts_are_kept_once():
    assert spaced("plain, naïve, हिन्दी") is None
    assert spaced("a部署b") == f"a{MARK}部{MARK}署{MARK}b"
    assert spaced("วันนี้").split(MARK) == ["", "วั", "น", "นี้", ""]


def old_database(path):
    with sqlite3.connect(path) as connection:
        connection.executescript(CHATS)
        connection.execute("PRAGMA user_version = 1")
        for number, text in enumerate(TEXTS, 1):
            connection.execute("INSERT INTO chats(id, created, updated) VALUES (?, 1, 1)", (number,))
            values = (number, number, text)
            connection.execute("INSERT INTO messages(id, chat, role, content, created) VALUES (?, ?, '', ?, 1)", values)
    connection.close()


def test_an_older_database_finds_them_after_the_update(path, monkeypatch):
    old_database(path)
    said = []
    monkeypatch.setattr(database, "LARGE", 1000)
    with ChatStore(path, said.append) as store:
        assert len(said) == 1
        for wanted, where in FOUND:
            assert [hit.excerpt for hit in store.search(wanted)] == [TEXTS[place] for place in where], wanted
        store._connection.execute("INSERT INTO words(words, rank) VALUES ('integrity-check', 1)")
    assert path.with_name("chats.db.schema-1").exists()


def test_an_older_database_that_cannot_be_written_is_read_as_it_is(path, monkeypatch):
    old_database(path)

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(database, "_writable", refuse)
    with ChatStore(path) as store:
        assert [hit.excerpt for hit in store.search("naive")] == [TEXTS[5]]
        assert store.path_of(store.latest()[0].id) == []


def test_deleted_characters_are_gone_from_the_file(path, store):
    for hit in store.search("部署"):
        assert store.delete(hit.chat.id)
    store.close()
    content = b"".join(one.read_bytes() for one in path.parent.iterdir())
    for word in ("部", "服务器", f"部{MARK}署"):
        assert word.encode() not in content
    assert "東京".encode() in content


def test_a_message_whose_chat_is_gone_does_not_end_a_search(store):
    store._connection.execute("PRAGMA foreign_keys = OFF")
    store._connection.execute("DELETE FROM chats WHERE id = 2")
    assert [hit.excerpt for hit in store.search("部署")] == [TEXTS[0]]


@pytest.mark.parametrize("damage", ["UPDATE words_data SET block = x'00'", "DELETE FROM words_data"])
def test_a_damaged_index_is_made_anew(store, damage):
    store._connection.execute(damage)
    index_anew(store._connection)
    assert [hit.excerpt for hit in store.search("部署方案")] == [TEXTS[0]]
