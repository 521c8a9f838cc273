"""Conversations of the log database of `llm` (https://llm.datasette.io).

The database is untrusted: it is opened read-only, and reading it has a time limit, because a table may be a view that
never ends.
"""

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from llamachat.errors import UsageError
from llamachat.session.linking import linked
from llamachat.session.reading import text_of
from llamachat.session.records import WholeChat

LONGEST_S = 30.0
"""Seconds that all reading of a database may take."""

LARGEST_VALUE, LARGEST = 100 << 20, 1 << 30
"""Bytes of one value, and of all texts together."""

STEPS = 10_000
"""Instructions of SQLite between two looks at the clock."""

FIGURES = {
    "input_tokens": ("n_prompt", 1),
    "output_tokens": ("n_generated", 1),
    "duration_ms": ("generation_s", 1e-3),
}
"""What newer log databases of llm say of an answer, what it is here, and in which unit."""


def chats_of_llm(database: Path | bytes, place: str) -> Iterator[WholeChat]:
    """The conversations of a file, or of the bytes of one; a response without a conversation is a chat of its own.

    Raises UsageError.
    """
    try:
        if isinstance(database, Path):  # also what is only in its log yet
            connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
        else:
            connection = sqlite3.connect(":memory:")
        with closing(connection):
            if isinstance(database, bytes):
                connection.deserialize(_without_log(database))
            rows = _rows(connection, place)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if str(getattr(error, "sqlite_errorname", "")) == "SQLITE_INTERRUPT":
            raise UsageError(f"{place}: reading it takes more than {LONGEST_S:.0f} s: it was given up") from error
        raise UsageError(f"{place} is not the log database of llm ({error})") from error
    return _grouped(rows)


def _without_log(content: bytes) -> bytes:
    """The database, not as one with a write-ahead log (bytes 18 and 19 are 2), which one in memory cannot have."""
    return content[:18] + b"\x01\x01" + content[20:] if content[18:20] == b"\x02\x02" else content


def _rows(connection: sqlite3.Connection, place: str) -> list[sqlite3.Row]:
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    ends = time.monotonic() + LONGEST_S
    connection.set_progress_handler(lambda: time.monotonic() > ends, STEPS)
    connection.execute("PRAGMA trusted_schema = OFF")
    known = {row["name"] for row in connection.execute("PRAGMA table_info(responses)")}
    figures = "".join(f", {name}" for name in FIGURES if name in known)
    found, n_bytes = [], 0
    for row in connection.execute(
        f"SELECT coalesce(conversation_id, id) chat, model, system, prompt, response, datetime_utc{figures} "
        "FROM responses ORDER BY chat, datetime_utc, id"
    ):
        n_bytes += sum(len(value) for value in row if isinstance(value, str | bytes))
        if n_bytes > LARGEST:
            raise UsageError(f"{place}: it has more than {LARGEST >> 30} GiB of text, which is too much for one import")
        found.append(row)
    return found


def _grouped(rows: list[sqlite3.Row]) -> Iterator[WholeChat]:
    for key, group in groupby(rows, lambda row: row["chat"]):
        turns: list[sqlite3.Row] = list(group)
        entries: list[dict[str, Any]] = []
        if turns[0]["system"]:
            entries.append({"role": "system", "content": text_of(turns[0]["system"])})
        for turn in turns:
            created, extra = _seconds(turn["datetime_utc"]), {"model": text_of(turn["model"]), **_figures(turn)}
            entries.append({"role": "user", "content": text_of(turn["prompt"]), "created": created})
            said = {"role": "assistant", "content": text_of(turn["response"]), "created": created, "extra": extra}
            entries.append(said)
        messages = linked(entries, str(key))
        yield WholeChat(messages, messages[-1].id, None, text_of(turns[-1]["model"]))


def _figures(turn: sqlite3.Row) -> dict[str, Any]:
    """The figures of an answer, without values that are no numbers."""
    names = set(turn.keys())
    values = {ours: (turn[name], unit) for name, (ours, unit) in FIGURES.items() if name in names}
    return {
        ours: value * unit
        for ours, (value, unit) in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _seconds(moment: Any) -> float:
    try:
        parsed = datetime.fromisoformat(f"{moment}")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
