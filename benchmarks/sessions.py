"""A database of many chats: the time to list them, to search them, and to resume one.

    python benchmarks/sessions.py --chats 10000 --messages 500000

Words are as frequent as in natural texts (the n-th has 1/n of the first one's share); with --script han they are
characters without spaces between them. Each command is a process of its own, timed from its start. With --keep FOLDER
the database stays there and is used again.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from llamachat.engine.measure import processor_name
from llamachat.session.chats import ChatStore, StoredMessage, WholeChat
from llamachat.session.places import database_path

SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in ("a", "e", "i", "o", "u", "an", "er", "ist")]
N_WORDS, LENGTH = 50_000, 15


SEARCHED = {
    "latin": (("a frequent word", "ba"), ("two words", "nan dister"), ("a beginning", "mist*"), ("a short one", "b*")),
    "han": (("a frequent character", "\u4e00"), ("two characters", "\u4e01\u4e03"), ("a seldom word", "\u4f00\u4e10"),
            ("two words", "\u4e02\u4e04 \u4e05")),
}  # fmt: skip
"""What is looked for, by script."""


def vocabulary(chance: random.Random, script: str) -> list[str]:
    """Random words of a script."""
    if script == "han":
        return [chr(0x4E00 + number) for number in range(6000)]
    found: dict[str, None] = {}
    while len(found) < N_WORDS:
        found["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4)))] = None
    return list(found)


def fill(path: Path, n_chats: int, n_messages: int, script: str) -> None:
    """Makes a database with n_chats, which have n_messages together."""
    chance = random.Random(1)
    words, blank = vocabulary(chance, script), "" if script == "han" else " "
    weights = [1 / n for n in range(1, len(words) + 1)]
    said = chance.choices(words, weights, k=1_000_000)
    with ChatStore(path) as store:
        store._connection.execute("PRAGMA synchronous = OFF")
        for number in range(n_chats):
            n = n_messages // n_chats
            starts = [chance.randrange(len(said) - LENGTH) for _ in range(n)]
            messages = tuple(
                StoredMessage(i + 1, i or None, ("user", "assistant")[i % 2], blank.join(said[at : at + LENGTH]))
                for i, at in enumerate(starts)
            )
            store.keep(WholeChat(messages, n, f"chat-{number}", "benchmark"))


def seconds(do: Callable[[], object], rounds: int) -> float:
    """The median of as many rounds."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        do()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def command(*arguments: str, typed: str | None = None) -> Callable[[], object]:
    """Runs the program to its end."""
    whole = [sys.executable, "-m", "llamachat", *arguments]
    text = None if typed is None else typed.encode()
    return lambda: subprocess.run(whole, input=text, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=int, default=10_000, help="chats [10000]")
    parser.add_argument("--messages", type=int, default=500_000, help="messages of all chats together [500000]")
    parser.add_argument("-m", "--model", default="smollm2", help="the model that answers in the resumed chat [smollm2]")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="rounds [5]")
    parser.add_argument("--script", choices=("latin", "han"), default="latin", help="of the messages [latin]")
    parser.add_argument("--keep", type=Path, help="where the database stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLAMACHAT_DATA"] = str(chosen.keep or folder)
        path = database_path()
        if not path.exists():
            fill(path, chosen.chats, chosen.messages, chosen.script)
        size = path.stat().st_size / 1e6
        print(f"{chosen.chats} chats, {chosen.messages} messages, {size:.0f} MB, {processor_name()}")
        resume = command("chat", "-m", chosen.model, "--session", "chat-77", "-n", "1", "--temp", "0", typed="Yes?")
        resume()  # writes its snapshot
        for name, do in (
            ("list, the last 30", command("sessions", "list")),
            ("list, all", command("sessions", "list", "--all")),
            *((f"search {name}", command("sessions", "search", word)) for name, word in SEARCHED[chosen.script]),
            ("show", command("sessions", "show", "chat-77")),
            ("resume, to the end of an answer", resume),
        ):
            print(f"{name:32} {seconds(do, chosen.rounds):.2f} s", flush=True)
        with ChatStore(path) as store:
            for name, do in (
                ("in the process: latest(30)", lambda: store.latest(30)),
                ("in the process: latest()", store.latest),
                *(
                    (f"in the process: search {name}", partial(store.search, word))
                    for name, word in SEARCHED[chosen.script]
                ),
                ("in the process: path_of(777)", lambda: store.path_of(777)),
                ("in the process: find('chat-77')", lambda: store.find("chat-77")),
            ):
                print(f"{name:32} {1e3 * seconds(do, chosen.rounds):.0f} ms", flush=True)


if __name__ == "__main__":
    main()
