"""tokenizer.json (github.com/huggingface/tokenizers): BPE of bytes or characters, unigrams, word pieces."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from llamachat.engine.gguf.metadata import shown
from llamachat.engine.tokenizers.vocabulary import PREFIX, Kind
from llamachat.errors import ModelFileError, Unsupported
from llamachat.prepare.convert.vocabulary.lists import Lists
from llamachat.prepare.convert.vocabulary.splits import name_of_splits

Description = Mapping[str, Any]
FILE: Final = "tokenizer.json"
NO_MERGE: Final = -1e6


def described_vocabulary(description: Description, pre: tuple[str, ...]) -> Lists:
    """The lists of a tokenizer.json. Raises ModelFileError for a broken one, Unsupported for what GGUF cannot say."""
    model = description.get("model")
    kind = str(model.get("type")) if isinstance(model, Mapping) else ""
    if isinstance(model, Mapping) and kind == "None" and "merges" in model:
        kind = "BPE"
    if not isinstance(model, Mapping) or kind not in _FORMS:
        raise Unsupported(f"is {shown(kind)}, which GGUF has no form for", FILE, "model.type")
    try:
        lists = _FORMS[kind](description, model, pre)
        lists.add(description.get("added_tokens") or [])
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"the file has not the form of a tokenizer ({error})", FILE) from error
    return lists


def parts(component: object, key: str) -> Iterator[Mapping[str, Any]]:
    """A component's parts: it may be a sequence of them. key: under which a sequence has them."""
    if not isinstance(component, Mapping):
        return
    if component.get("type") == "Sequence":
        for one in component.get(key, []):
            yield from parts(one, key)
    else:
        yield component


def _bpe(description: Description, model: Mapping[str, Any], pre: tuple[str, ...]) -> Lists:
    merges = [_merge(one) for one in model["merges"]]
    cutting = list(parts(description.get("pre_tokenizer"), "pretokenizers"))
    decoding = list(parts(description.get("decoder"), "decoders"))
    if any(part.get("type") == "ByteLevel" for part in (*cutting, *decoding)):
        lists = Lists("gpt2", merges=[" ".join(part.replace(" ", "\u0120") for part in one) for one in merges])
        lists.pre = name_of_splits(cutting, bool(model.get("ignore_merges")), pre)
        _put_all(lists, model["vocab"])
        if any(part.get("type") == "ByteLevel" and part.get("add_prefix_space") for part in cutting):
            lists.more[f"{PREFIX}add_space_prefix"] = True
        return lists
    return _character_pairs(description, model, merges)


def _character_pairs(description: Description, model: Mapping[str, Any], merges: list[tuple[str, str]]) -> Lists:
    """SentencePiece's pairs: the score of a token is how early a merge makes it."""
    lists = Lists("llama", scores=[], pre="default")
    scores = dict[str, float]()
    for rank, (left, right) in enumerate(merges):
        scores.setdefault(left + right, -float(rank))
    for text, number in model["vocab"].items():
        kind = Kind.BYTE if model.get("byte_fallback") and _is_byte(text) else Kind.NORMAL
        if text == model.get("unk_token"):
            kind = Kind.UNKNOWN
        lists.put(number, text, kind, scores.get(text, NO_MERGE))
    lists.more[f"{PREFIX}add_space_prefix"] = _adds_space(description)
    return lists


def _adds_space(description: Description) -> bool:
    for part in parts(description.get("pre_tokenizer"), "pretokenizers"):
        if part.get("type") == "Metaspace":
            return bool(part.get("add_prefix_space", part.get("prepend_scheme", "always") != "never"))
    return any(part.get("type") == "Prepend" for part in parts(description.get("normalizer"), "normalizers"))


def _unigram(description: Description, model: Mapping[str, Any], pre: tuple[str, ...]) -> Lists:
    lists = Lists("t5", scores=[], pre="default")
    for number, (text, score) in enumerate(model["vocab"]):
        kind = Kind.BYTE if model.get("byte_fallback") and _is_byte(text) else Kind.NORMAL
        lists.put(number, text, Kind.UNKNOWN if number == model.get("unk_id") else kind, float(score))
    lists.more[f"{PREFIX}add_space_prefix"] = _adds_space(description)
    normal = list(parts(description.get("normalizer"), "normalizers"))
    charsmap = next((part.get("precompiled_charsmap") for part in normal if part.get("type") == "Precompiled"), None)
    if charsmap:
        try:
            raw = base64.b64decode(charsmap, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ModelFileError("the normaliser's table is no base64", FILE, "precompiled_charsmap") from error
        lists.more[f"{PREFIX}precompiled_charsmap"] = np.frombuffer(raw, np.uint8)
    splits = [part.get("type") for part in parts(description.get("pre_tokenizer"), "pretokenizers")]
    joined = any(part.get("type") in ("Replace", "Strip") for part in normal) or "WhitespaceSplit" in splits
    lists.more[f"{PREFIX}remove_extra_whitespaces"] = joined or bool(charsmap)
    return lists


def _word_pieces(description: Description, model: Mapping[str, Any], pre: tuple[str, ...]) -> Lists:
    """GGUF marks the beginnings of words, tokenizer.json what continues them."""
    lists = Lists("bert", pre="default")
    prefix = model.get("continuing_subword_prefix", "##")
    for text, number in model["vocab"].items():
        is_control = text.startswith("[") and text.endswith("]")
        kind = Kind.UNKNOWN if text == model.get("unk_token", "[UNK]") else Kind.NORMAL
        word = text.removeprefix(prefix) if text.startswith(prefix) else f"\u2581{text}"
        lists.put(number, text if is_control else word, kind)
    for part in parts(description.get("normalizer"), "normalizers"):
        if part.get("type") == "BertNormalizer":
            lower, strips = bool(part.get("lowercase", True)), part.get("strip_accents")
            lists.more[f"{PREFIX}normalizer.lowercase"] = lower
            lists.more[f"{PREFIX}normalizer.strip_accents"] = lower if strips is None else bool(strips)
        elif part.get("type") == "Lowercase":
            lists.more[f"{PREFIX}normalizer.lowercase"] = True
    return lists


_FORMS: Final[Mapping[str, Callable[[Description, Mapping[str, Any], tuple[str, ...]], Lists]]] = {
    "BPE": _bpe,
    "Unigram": _unigram,
    "WordPiece": _word_pieces,
}


def _put_all(lists: Lists, vocab: Mapping[str, int]) -> None:
    for text, number in vocab.items():
        lists.put(number, text, Kind.NORMAL)


def _merge(one: object) -> tuple[str, str]:
    """A pair, which older files write with a space between."""
    pair: Any = one.split(" ", 1) if isinstance(one, str) else one
    left, right = pair
    return str(left), str(right)


def _is_byte(text: str) -> bool:
    return len(text) == 6 and text.startswith("<0x") and text.endswith(">")
