"""A folder's tokenizer as `tokenizer.ggml.*` keys: tokenizer.json, tokenizer.model, vocab.txt, or RWKV's list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llamachat.errors import ModelFileError
from llamachat.prepare.convert.config import Config, read_json
from llamachat.prepare.convert.vocabulary.lists import PREFIX, Lists
from llamachat.prepare.convert.vocabulary.rwkv import RWKV_FILE, rwkv_vocabulary
from llamachat.prepare.convert.vocabulary.sentencepiece import sentencepiece_vocabulary
from llamachat.prepare.convert.vocabulary.special import special_keys
from llamachat.prepare.convert.vocabulary.templates import chat_templates
from llamachat.prepare.convert.vocabulary.tokenizer_json import Description, described_vocabulary

PIECES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
"""Names that files of SentencePiece have."""


def read_vocabulary(folder: Path, config: Config, pre: tuple[str, ...]) -> dict[str, object]:
    """The keys of a folder's tokenizer. pre: names of pre-tokenizers that are likelier than others.

    Raises ModelFileError where there is none or it is broken, Unsupported for one that GGUF cannot express.
    """
    settings = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    description = _description(folder, settings)
    size = config.first(("vocab_size",))
    lists = _lists(folder, description, settings, pre)
    if isinstance(size, int):
        lists.fill(size)
    texts = lists.texts
    own = special_keys(settings, config, description, {text: i for i, text in enumerate(texts)})
    keys: dict[str, object] = {f"{PREFIX}model": lists.model}
    if lists.pre:
        keys[f"{PREFIX}pre"] = lists.pre
    keys[f"{PREFIX}tokens"] = texts
    if lists.scores is not None:
        keys[f"{PREFIX}scores"] = np.array(lists.scores, np.float32)
    keys[f"{PREFIX}token_type"] = np.array(lists.kinds, np.int32)
    if lists.merges is not None:
        keys[f"{PREFIX}merges"] = lists.merges
    return keys | own | lists.more | chat_templates(folder, settings)


def _description(folder: Path, settings: Mapping[str, Any]) -> Description | None:
    """tokenizer.json, or what its older files say together."""
    if (folder / "tokenizer.json").is_file():
        return read_json(folder / "tokenizer.json")
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        lines = (folder / "merges.txt").read_text("utf-8").split("\n")
        merges = [line for line in lines if line and not line.startswith("#version")]
        model = {"type": "BPE", "vocab": read_json(folder / "vocab.json"), "merges": merges}
        return {"model": model, "pre_tokenizer": {"type": "ByteLevel"}, "added_tokens": _added(folder, settings)}
    if (folder / "vocab.txt").is_file() and not (folder / RWKV_FILE).is_file():
        words = (folder / "vocab.txt").read_text("utf-8").split("\n")
        vocab = {word.rstrip("\r"): number for number, word in enumerate(words) if word}
        lower = settings.get("do_lower_case", True)
        normalizer = {"type": "BertNormalizer", "lowercase": lower, "strip_accents": settings.get("strip_accents")}
        special = [word for word in vocab if word in ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")]
        added = [{"id": vocab[word], "content": word, "special": True} for word in special]
        return {
            "model": {"type": "WordPiece", "vocab": vocab},
            "normalizer": normalizer,
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "added_tokens": added,
        }
    return None


def _added(folder: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tokens that were added to a vocabulary, as tokenizer.json has them."""
    listed = settings.get("added_tokens_decoder")
    if isinstance(listed, dict):
        return [{"id": int(number), **entry} for number, entry in listed.items()]
    path = folder / "added_tokens.json"
    found = read_json(path) if path.is_file() else {}
    return [{"id": number, "content": text, "special": False} for text, number in found.items()]


def _lists(folder: Path, description: Description | None, settings: Mapping[str, Any], pre: tuple[str, ...]) -> Lists:
    """A list of SentencePiece has scores that tokenizer.json has lost, so it comes first where that is of its kind."""
    if (folder / RWKV_FILE).is_file():
        return rwkv_vocabulary(folder / RWKV_FILE)
    pieces = next((folder / name for name in PIECES if (folder / name).is_file()), None)
    kind = _kind(description)
    if pieces is not None and (description is None or kind == "characters"):
        added = description.get("added_tokens", []) if description else []
        return sentencepiece_vocabulary(pieces, [*added, *_added(folder, settings)])
    if description is not None:
        return described_vocabulary(description, pre)
    raise ModelFileError("there is no tokenizer.json, tokenizer.model or vocab.txt in this folder", folder)


def _kind(description: Description | None) -> str:
    """Whether BPE merges characters, as SentencePiece does, or bytes."""
    model = description.get("model", {}) if description else {}
    is_bytes = "ByteLevel" in str(description and [description.get("pre_tokenizer"), description.get("decoder")])
    return "characters" if model.get("type") == "BPE" and not is_bytes else str(model.get("type"))
