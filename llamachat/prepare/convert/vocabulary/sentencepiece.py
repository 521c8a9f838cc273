"""SentencePiece's models (github.com/google/sentencepiece, `sentencepiece_model.proto`): tokens with scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from llamachat.engine.tokenizers.vocabulary import PREFIX, Kind
from llamachat.errors import ModelFileError, Unsupported
from llamachat.prepare.convert.vocabulary.lists import Lists
from llamachat.prepare.convert.vocabulary.protobuf import fields

PIECES, TRAINER, NORMALIZER = 1, 2, 3
UNIGRAM, BPE = 1, 2

KINDS: Final = {1: Kind.NORMAL, 2: Kind.UNKNOWN, 3: Kind.CONTROL, 4: Kind.USER_DEFINED, 5: Kind.UNUSED, 6: Kind.BYTE}


def sentencepiece_vocabulary(path: Path, added: Sequence[Mapping[str, Any]]) -> Lists:
    """A model's tokens and what was added to them. Raises ModelFileError, Unsupported for models of words."""
    try:
        return _vocabulary(path.read_bytes(), added)
    except ModelFileError as error:
        raise type(error)(str(error), path) from None


def _vocabulary(raw: bytes, added: Sequence[Mapping[str, Any]]) -> Lists:
    lists = Lists("llama", scores=[])
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    for number, value in fields(raw):
        if number == PIECES and isinstance(value, bytes):
            piece = dict(fields(value))
            kind = KINDS.get(int(piece.get(3, 1)), Kind.NORMAL)
            lists.put(len(lists.texts), _text(piece.get(1, b"")), kind, float(piece.get(2, 0.0)))
        elif number == TRAINER and isinstance(value, bytes):
            trainer = dict(fields(value))
        elif number == NORMALIZER and isinstance(value, bytes):
            normalizer = dict(fields(value))
    if not lists.texts:
        raise ModelFileError("the file has no tokens")
    kind = trainer.get(3, UNIGRAM)
    if kind not in (UNIGRAM, BPE):
        raise Unsupported("this model is of words or characters, which GGUF cannot express")
    lists.pre = "default"
    lists.more = {f"{PREFIX}add_space_prefix": bool(normalizer.get(3, True))}
    if kind == UNIGRAM:
        lists.model = "t5"
        lists.more[f"{PREFIX}remove_extra_whitespaces"] = bool(normalizer.get(4, True))
        if charsmap := normalizer.get(2):
            lists.more[f"{PREFIX}precompiled_charsmap"] = np.frombuffer(charsmap, np.uint8)
    lists.add(_beyond(added, lists))
    return lists


def _beyond(added: Sequence[Mapping[str, Any]], lists: Lists) -> list[Mapping[str, Any]]:
    """What was added; an unknown token stays one."""
    known = [token for token in added if isinstance(token.get("id"), int)]
    return [t for t in known if t["id"] >= len(lists.kinds) or lists.kinds[t["id"]] != Kind.UNKNOWN]


def _text(raw: object) -> str:
    if not isinstance(raw, bytes):
        raise ModelFileError("a token has no text")
    return raw.decode("utf-8", "replace")
