"""Names of models that are split over several files: `name-00001-of-00003.gguf`. Names only; nothing is opened.

Source of the form: llama.cpp, `llama_split_path`.
"""

import re
from dataclasses import dataclass

_SPLIT = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.gguf)", re.IGNORECASE | re.DOTALL)
MAX_PARTS = 1000


@dataclass(frozen=True)
class Split:
    """One file of a split model: what it is called without its number, which one it is (from 1) and of how many."""

    stem: str
    number: int
    count: int


def split_of(name: str) -> Split | None:
    """What the name says about a split, or None if it is one whole file."""
    found = _SPLIT.fullmatch(name)
    if not found or not 1 <= int(found["number"]) <= int(found["count"]) <= MAX_PARTS:
        return None
    return Split(found["stem"], int(found["number"]), int(found["count"]))


def part_names(name: str) -> list[str]:
    """The names of all files that belong to this one, in order; just the name itself if it is whole."""
    found = _SPLIT.fullmatch(name)
    split = split_of(name)
    if found is None or split is None:
        return [name]
    return [f"{split.stem}-{number:05}-of-{split.count:05}{found['end']}" for number in range(1, split.count + 1)]
