"""A vocabulary as the file tells it: texts, types, special ids, and which tokens end a generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

import numpy as np

from llamachat.engine.tokenizers.names import CONTROL_TEXTS, END_OF_GENERATION, END_OF_TURN
from llamachat.errors import ModelFileError

T = TypeVar("T")

NO_VOCABULARY = ("no_vocab", "none")


class Kind(IntEnum):
    """`tokenizer.ggml.token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """Token texts by id, and the roles that some have. kinds: uint8 [n_vocab]; an absent special id is None."""

    texts: list[str]
    kinds: np.ndarray
    bos: int | None = None
    eos: int | None = None
    eot: int | None = None
    eog: frozenset[int] = frozenset()
    unknown: int | None = None
    separator: int | None = None
    add_bos: bool = False
    add_eos: bool = False
    ids: dict[str, int] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Defaults:
    """What a family assumes where the file says nothing."""

    bos: int | None = None
    eos: int | None = None
    unknown: int | None = None
    separator: int | None = None
    add_bos: bool = False


class Keys:
    """The `tokenizer.ggml.*` keys of a file, with their types checked."""

    def __init__(self, metadata: Mapping[str, object]) -> None:
        self._metadata = metadata

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        return self._typed(name, str, "a text", default)

    def flag(self, name: str, default: bool) -> bool:
        """A truth value."""
        return self._typed(name, bool, "true or false", default)

    def texts(self, name: str) -> list[str]:
        """A list of strings, empty where the key is missing."""
        value = self._metadata.get(f"tokenizer.ggml.{name}", [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value[:1]):
            raise ModelFileError("must be a list of texts", where=f"tokenizer.ggml.{name}")
        return value

    def numbers(self, name: str, count: int) -> np.ndarray | None:
        """`count` numbers, or None where the key is missing."""
        value = self._metadata.get(f"tokenizer.ggml.{name}")
        if value is None:
            return None
        if not isinstance(value, np.ndarray) or value.shape != (count,):
            raise ModelFileError(f"must be one number for each of the {count} tokens", where=f"tokenizer.ggml.{name}")
        return value

    def token(self, name: str, count: int, default: int | None) -> int | None:
        """A token id below `count`; all ones (the format's "none") and a default beyond the vocabulary are None."""
        value = self._metadata.get(f"tokenizer.ggml.{name}_token_id", default)
        if value is None or value == 0xFFFFFFFF or (default is not None and value == default >= count):
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
            raise ModelFileError(f"{value!r} is not a token id below {count}", where=f"tokenizer.ggml.{name}_token_id")
        return value

    def general_name(self) -> str:
        """The model's name in lower case; a few tokenizer habits hang on it."""
        value = self._metadata.get("general.name", "")
        return value.lower() if isinstance(value, str) else ""

    def _typed(self, name: str, kind: type[T], what: str, default: T) -> T:
        value = self._metadata.get(f"tokenizer.ggml.{name}", default)
        if not isinstance(value, kind):
            raise ModelFileError(f"must be {what}, not {value!r:.40}", where=f"tokenizer.ggml.{name}")
        return value


def read_vocabulary(keys: Keys, defaults: Defaults) -> Vocabulary:
    """The vocabulary of a file. Raises ModelFileError for lists of wrong lengths and ids out of range."""
    texts = keys.texts("tokens")
    if not texts:
        raise ModelFileError("the file has no tokens", where="tokenizer.ggml.tokens")
    count = len(texts)
    given = keys.numbers("token_type", count)
    kinds = np.full(count, Kind.NORMAL, np.uint8) if given is None else given.astype(np.uint8)
    ids = dict(zip(reversed(texts), range(count - 1, -1, -1), strict=True))
    for text in CONTROL_TEXTS.intersection(ids):
        kinds[ids[text]] = Kind.CONTROL
    eos = keys.token("eos", count, defaults.eos)
    eot = keys.token("eot", count, _end_of_turn(ids, eos))
    return Vocabulary(
        texts=texts,
        kinds=kinds,
        bos=keys.token("bos", count, keys.token("cls", count, defaults.bos)),
        eos=eos,
        eot=eot,
        eog=_end_of_generation(ids, {eos, eot, keys.token("eom", count, ids.get("<|eom_id|>"))}),
        unknown=keys.token("unknown", count, defaults.unknown),
        separator=keys.token("seperator", count, defaults.separator),
        add_bos=keys.flag("add_bos_token", defaults.add_bos),
        add_eos=keys.flag("add_eos_token", False),
        ids=ids,
    )


def _end_of_turn(ids: Mapping[str, int], eos: int | None) -> int | None:
    """The lowest id with an end-of-turn text that is not the end of sequence, else that one."""
    found = sorted(ids[text] for text in END_OF_TURN if text in ids)
    return next((i for i in found if i != eos), found[0] if found else None)


def _end_of_generation(ids: Mapping[str, int], special: set[int | None]) -> frozenset[int]:
    """Tokens after which nothing follows: by their texts, and the special ones."""
    named = {text: ids[text] for text in END_OF_GENERATION if text in ids}
    for inner, pair in (("<|end|>", ("<|return|>", "<|call|>")), ("<|flush|>", ("<|calls|>",))):
        # Harmony models end a message with <|end|> and go on; only <|return|> and <|call|> end the generation.
        if all(other in named for other in pair) and named.pop(inner, None) is not None:
            special = special - {ids[inner]}
    return frozenset(named.values()) | frozenset(i for i in special if i is not None)
