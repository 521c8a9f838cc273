"""Chats from other programs: JSON lines of messages, ShareGPT, and the log database of `llm`."""

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from llamachat.errors import UsageError
from llamachat.session.chats import DONE, StoredMessage, WholeChat
from llamachat.session.exports import FORMAT

SHAREGPT_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard"), "assistant"),
    **dict.fromkeys(("tool", "function"), "tool"),
    "system": "system",
}
SQLITE = b"SQLite format 3\0"
KNOWN = {"id", "parent", "role", "content", "state", "created"}


LLM_FIGURES = {
    "input_tokens": ("n_prompt", 1),
    "output_tokens": ("n_generated", 1),
    "duration_ms": ("generation_s", 1e-3),
}
"""What newer log databases of llm tell of an answer, what it is here, and in which unit."""

SETTINGS = {"system": str, "summary": str, "forgotten": int, "set": dict}
"""What settings of a chat are; others are kept as they are."""


def read_chats(path: Path) -> Iterator[WholeChat]:
    """The chats of a file, whatever of the three it is. Raises UsageError with the place of what cannot be read."""
    try:
        with path.open("rb") as file:  # once: it may be a pipe
            start = file.read(len(SQLITE))
            if start == SQLITE:
                return _of_llm(path)
            content = start + file.read()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is neither JSON nor a database (offset {error.start} is not UTF-8)") from error
    return _of_json(text, str(path))


def _of_json(text: str, place: str) -> Iterator[WholeChat]:
    try:
        whole = json.loads(text)
    except RecursionError as error:
        raise UsageError(f"{place}: this JSON is nested too deeply to be a chat") from error
    except ValueError:
        return _of_lines(text, place)
    entries = whole if isinstance(whole, list) else [whole]
    return (_chat(entry, f"{place}: chat {number}") for number, entry in enumerate(entries, 1))


def _of_lines(text: str, place: str) -> Iterator[WholeChat]:
    if not text.strip():
        raise UsageError(f"{place}: there is no chat in it")
    for number, line in enumerate(text.split("\n"), 1):  # other separators may stand inside of JSON
        if line.strip():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{place}:{number}: this line is not JSON ({error})") from error
            yield _chat(entry, f"{place}:{number}")


def _chat(entry: Any, place: str) -> WholeChat:
    """A chat of {"messages": [...]} or of ShareGPT's {"conversations": [{"from", "value"}]}."""
    if isinstance(entry, dict):
        for key, read in (("messages", _message), ("conversations", _sharegpt_message)):
            if isinstance(entry.get(key), list):
                messages = _linked([read(one, f"{place}, message {n}") for n, one in enumerate(entry[key], 1)], place)
                return _whole(entry, messages)
    raise UsageError(f'{place}: there are neither "messages" nor "conversations"')


def _whole(entry: dict[str, Any], messages: tuple[StoredMessage, ...]) -> WholeChat:
    """A chat with what else is told of it."""
    name, settings, head = (entry.get(key) for key in ("name", "settings", "head"))
    last = messages[-1].id if messages else None
    if entry.get("format") == FORMAT and head is None:
        last = None
    return WholeChat(
        messages,
        head if type(head) is int and head in {message.id for message in messages} else last,
        name if isinstance(name, str) and name.strip() and not name.isdecimal() else None,
        _text(entry.get("model")),
        {key: value for key, value in settings.items() if isinstance(value, SETTINGS.get(key, object))}
        if isinstance(settings, dict)
        else {},
        _text(entry.get("title")),
        _moment(entry.get("created")),
        _moment(entry.get("updated")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: Any) -> float:
    """Seconds since 1970; 0.0 for anything else."""
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
    except OverflowError:
        return 0.0


def _message(entry: Any, place: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("role"), str):
        raise UsageError(f"{place}: there is no role")
    content = entry.get("content")
    if isinstance(content, list):  # parts, of which the texts count
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is not None and not isinstance(content, str):
        raise UsageError(f"{place}: the content is no text")
    extra = entry.get("extra")
    rest = {key: value for key, value in entry.items() if key not in KNOWN and key != "extra"}
    return {**entry, "content": content or "", "extra": {**(extra if isinstance(extra, dict) else {}), **rest}}


def _sharegpt_message(entry: Any, place: str) -> dict[str, Any]:
    role = SHAREGPT_ROLES.get(str(entry.get("from"))) if isinstance(entry, dict) else None
    if role is None or not isinstance(entry.get("value"), str):
        raise UsageError(f'{place}: "from" and "value" are wanted')
    return {"role": role, "content": entry["value"]}


def _linked(entries: list[dict[str, Any]], place: str) -> tuple[StoredMessage, ...]:
    """The messages with ids and parents: those that the entries have, else each after the one before it."""
    has_tree = all(type(entry.get("id")) is int and "parent" in entry for entry in entries)
    seen: set[int] = set()
    messages = []
    for number, entry in enumerate(entries, 1):
        own, parent = (entry["id"], entry["parent"]) if has_tree else (number, number - 1 or None)
        if own in seen or (parent is not None and parent not in seen):
            raise UsageError(f"{place}, message {number}: its parent does not come before it")
        seen.add(own)
        state = entry.get("state", DONE)
        messages.append(
            StoredMessage(
                own,
                parent,
                entry["role"],
                entry["content"],
                state if isinstance(state, str) else DONE,
                _moment(entry.get("created")),
                entry.get("extra", {}),
            )
        )
    return tuple(messages)


def _of_llm(path: Path) -> Iterator[WholeChat]:
    """The conversations of https://llm.datasette.io's logs.db; a response without one is a chat of its own."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            known = {row["name"] for row in connection.execute("PRAGMA table_info(responses)")}
            told = "".join(f", {name}" for name in LLM_FIGURES if name in known)
            rows = connection.execute(
                f"SELECT coalesce(conversation_id, id) chat, model, system, prompt, response, datetime_utc{told} "
                "FROM responses ORDER BY chat, datetime_utc, id"
            ).fetchall()
    except sqlite3.Error as error:
        raise UsageError(f"{path} is not the log database of llm ({error})") from error
    return _grouped(rows)


def _grouped(rows: list[sqlite3.Row]) -> Iterator[WholeChat]:
    for key, group in groupby(rows, lambda row: row["chat"]):
        turns: list[sqlite3.Row] = list(group)
        entries: list[dict[str, Any]] = []
        if turns[0]["system"]:
            entries.append({"role": "system", "content": turns[0]["system"]})
        for turn in turns:
            created, extra = _seconds(turn["datetime_utc"]), {"model": turn["model"]}
            for name, (ours, unit) in LLM_FIGURES.items():
                if name in turn.keys() and turn[name] is not None:  # noqa: SIM118 - a Row has values, not names
                    extra[ours] = turn[name] * unit
            entries.append({"role": "user", "content": turn["prompt"] or "", "created": created})
            said = {"role": "assistant", "content": turn["response"] or "", "created": created, "extra": extra}
            entries.append(said)
        messages = _linked(entries, str(key))
        yield WholeChat(messages, messages[-1].id, None, str(turns[-1]["model"] or ""))


def _seconds(moment: Any) -> float:
    try:
        parsed = datetime.fromisoformat(f"{moment}")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        return 0.0
