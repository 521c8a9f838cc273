"""A vocabulary as the file tells it: texts, types, special ids, and which tokens end a generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np

from llamachat.engine.gguf.metadata import typed
from llamachat.engine.tokenizers.names import (
    CONTROL_TEXTS,
    END_OF_GENERATION,
    END_OF_TURN,
    FILL_IN,
    OPEN_SEPARATOR,
    VISIBLE_TEXTS,
)
from llamachat.errors import ModelFileError

PREFIX = "tokenizer.ggml."
NO_TOKEN = 0xFFFFFFFF
"""The id that stands for none in files."""

NO_VOCABULARY = ("no_vocab", "none")


class Kind(IntEnum):
    """`tokenizer.ggml.token_type`; UNDEFINED stands for every number that is none of the others."""

    UNDEFINED = 0
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class FillIn:
    """Tokens for filling in the middle: what stands before a gap, after it, where it is filled; padding; a repository's
    name, a file's name. None where the vocabulary has none.
    """

    prefix: int | None = None
    suffix: int | None = None
    middle: int | None = None
    padding: int | None = None
    repository: int | None = None
    file: int | None = None


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
    fill_in: FillIn = field(default_factory=lambda: FillIn())
    ids: dict[str, int] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def longest(self) -> int:
        """Characters of the longest token's text, 1 or more."""
        return max(1, *map(len, self.texts))

    @cached_property
    def plain_ids(self) -> dict[str, int]:
        """`ids` without control and unknown tokens: what a text may become when nobody asked to parse specials."""
        plain = dict(self.ids)
        hidden = np.isin(self.kinds, (Kind.CONTROL, Kind.UNKNOWN)).nonzero()[0].tolist()
        for token in hidden:
            if plain.get(self.texts[token]) == token:
                del plain[self.texts[token]]
        return plain


@dataclass(frozen=True)
class Defaults:
    """What a family assumes where the file says nothing."""

    bos: int | None = None
    eos: int | None = None
    unknown: int | None = None
    separator: int | None = None
    add_bos: bool = False
    add_eos: bool = False


class Keys:
    """The `tokenizer.ggml.*` keys of a file, with their types checked. notes: sentences on them for a person."""

    def __init__(self, metadata: Mapping[str, object]) -> None:
        self._metadata = metadata
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        """Something that a person should know, and that is no error."""
        self.notes.append(sentence)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        return typed(self._metadata, f"{PREFIX}{name}", str, "a text", default)

    def flag(self, name: str, default: bool) -> bool:
        """A truth value."""
        return typed(self._metadata, f"{PREFIX}{name}", bool, "true or false", default)

    def texts(self, name: str, required: bool = False) -> list[str]:
        """A list of strings, empty where the key is missing and not required. Raises ModelFileError."""
        if required and f"{PREFIX}{name}" not in self._metadata:
            raise ModelFileError(f"the file has no {name}", where=f"{PREFIX}{name}")
        value = typed(self._metadata, f"{PREFIX}{name}", list, "a list of texts", [])
        if not all(isinstance(one, str) for one in value[:1]):
            raise ModelFileError("must be a list of texts", where=f"{PREFIX}{name}")
        return value

    def numbers(self, name: str, count: int) -> np.ndarray | None:
        """Numbers [count], or None where the key is missing. Raises ModelFileError."""
        value = self._metadata.get(f"{PREFIX}{name}")
        if value is None:
            return None
        if not isinstance(value, np.ndarray) or value.shape != (count,) or value.dtype.kind not in "iuf":
            raise ModelFileError(f"must be one number for each of the {count} tokens", where=f"{PREFIX}{name}")
        return value

    def scores(self, count: int) -> np.ndarray:
        """The scores of all tokens, float32 [count]. Raises ModelFileError where the file has none."""
        found = self.numbers("scores", count)
        if found is None:
            raise ModelFileError(
                "the file has no scores, without which its tokens cannot be chosen", where=f"{PREFIX}scores"
            )
        return found.astype(np.float32)

    def data(self, name: str) -> bytes:
        """Bytes; none where the key is missing. Raises ModelFileError."""
        value = self._metadata.get(f"{PREFIX}{name}")
        if value is None:
            return b""
        if not isinstance(value, np.ndarray) or value.dtype.itemsize != 1 or value.ndim != 1:
            raise ModelFileError("must be a list of bytes", where=f"{PREFIX}{name}")
        return value.tobytes()

    def token(self, name: str, count: int, default: int | None) -> int | None:
        """A token id below `count`; all ones (the format's "none") and a default beyond the vocabulary are None.

        Raises ModelFileError.
        """
        key = f"{PREFIX}{name}_token_id"
        value = typed(self._metadata, key, int, "a token id", NO_TOKEN if default is None else default)
        if value == NO_TOKEN or (default is not None and value == default >= count):
            return None
        if not 0 <= value < count:
            raise ModelFileError(f"{value} is not a token id below {count}", where=key)
        return value

    def general_name(self) -> str:
        """The model's name in lower case; a few tokenizer habits hang on it."""
        return typed(self._metadata, "general.name", str, "a text", "").lower()


def read_vocabulary(keys: Keys, defaults: Defaults) -> Vocabulary:
    """The vocabulary of a file.

    Raises ModelFileError for lists of wrong lengths, tokens that come twice, and ids out of range.
    """
    texts = keys.texts("tokens")
    if not texts:
        raise ModelFileError("the file has no tokens", where=f"{PREFIX}tokens")
    count = len(texts)
    given = keys.numbers("token_type", count)
    ids = _ids(texts)
    eos = keys.token("eos", count, defaults.eos)
    eot = keys.token("eot", count, _end_of_turn(ids, eos))
    eom = keys.token("eom", count, ids.get("<|eom_id|>"))
    fill_in = _fill_in(keys, ids)
    file = fill_in.file if fill_in.file != ids.get(OPEN_SEPARATOR) else None
    eog = _end_of_generation(ids, {eos, eot, eom, fill_in.padding, fill_in.repository, file})
    bos = keys.token("bos", count, keys.token("cls", count, defaults.bos))
    return Vocabulary(
        texts=texts,
        kinds=_kinds(given, ids, eog, count),
        bos=bos,
        eos=eos,
        eot=eot,
        eog=eog,
        unknown=keys.token("unknown", count, defaults.unknown),
        separator=keys.token("seperator", count, defaults.separator),
        add_bos=keys.flag("add_bos_token", defaults.add_bos) and bos is not None,
        add_eos=keys.flag("add_eos_token", defaults.add_eos) and eos is not None,
        fill_in=fill_in,
        ids=ids,
    )


def _ids(texts: list[str]) -> dict[str, int]:
    """text -> id. Tokens without a text are none of them; a text that stands twice is refused."""
    ids = dict(zip(texts, range(len(texts)), strict=True))
    if len(ids) < len(texts):
        ids.pop("", None)
        if len(ids) + texts.count("") < len(texts):
            token, text = next((i, text) for i, text in enumerate(texts) if text and ids[text] != i)
            raise ModelFileError(
                f"the token {text!r:.60} stands there twice, as {token} and as {ids[text]}", where=f"{PREFIX}tokens"
            )
    return ids


def _fill_in(keys: Keys, ids: Mapping[str, int]) -> FillIn:
    """Each by its key, by the key's older name, or by the well-known texts."""
    found = {}
    for role, (new, old, texts) in FILL_IN.items():
        default = _first(ids, texts)
        if old:
            default = keys.token(old, len(ids), default)
        found[role] = keys.token(new, len(ids), default)
    return FillIn(**found)


def _kinds(given: np.ndarray | None, ids: Mapping[str, int], eog: frozenset[int], count: int) -> np.ndarray:
    """Types by id, uint8 [n_vocab]: those of the file, put right for texts whose role is known."""
    if given is not None and given.dtype.kind not in "iu":
        raise ModelFileError("must be integers", where="tokenizer.ggml.token_type")
    if given is None:
        kinds = np.full(count, Kind.NORMAL, np.uint8)
    else:
        kinds = np.where((given >= 1) & (given <= max(Kind)), given, Kind.UNDEFINED).astype(np.uint8)
    for text in CONTROL_TEXTS:
        if text in ids:
            kinds[ids[text]] = Kind.CONTROL
    for text in VISIBLE_TEXTS:
        if text in ids:
            kinds[ids[text]] = Kind.USER_DEFINED
    # What looks like an end but is none in this vocabulary (see `_end_of_generation`).
    for text, kind in (("<|end|>", Kind.USER_DEFINED), ("</s>", Kind.NORMAL)):
        if text in ids and ids[text] not in eog:
            kinds[ids[text]] = kind
    return kinds


def _first(ids: Mapping[str, int], texts: tuple[str, ...]) -> int | None:
    return next((ids[text] for text in texts if text in ids), None)


def _end_of_turn(ids: Mapping[str, int], eos: int | None) -> int | None:
    """The lowest id with an end-of-turn text that is not the end of sequence, else that one."""
    found = sorted(ids[text] for text in END_OF_TURN if text in ids)
    return next((i for i in found if i != eos), found[0] if found else None)


def _end_of_generation(ids: Mapping[str, int], special: set[int | None]) -> frozenset[int]:
    """Tokens after which nothing follows: by their texts, and the special ones."""
    ends = {ids[text] for text in END_OF_GENERATION if text in ids}.union(i for i in special if i is not None)
    # Harmony models end a message with <|end|> and go on; Gemma 4 ends with <turn|>, and its </s> is a word of HTML.
    calls = "<|call|>" in ids or "<|calls|>" in ids
    if "<|end|>" in ids and calls and ("<|return|>" in ids or "<|flush|>" in ids):
        ends.discard(ids["<|end|>"])
    if "</s>" in ids and "<|tool_response>" in ids:
        ends.discard(ids["</s>"])
    return frozenset(ends)
