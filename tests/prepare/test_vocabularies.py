"""Vocabularies of checkpoints: golden GGUF ones, written back as tokenizer.model and vocab.txt, come out the same."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_data import GOLDEN, needed

from llamachat.engine.gguf import open_gguf
from llamachat.engine.tokenizers.pre_tokenizers import CHARACTERS, EXPRESSIONS, THREES
from llamachat.engine.tokenizers.tokenizer import Tokenizer
from llamachat.errors import ModelFileError, Unsupported
from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.vocabulary import read_vocabulary
from llamachat.prepare.convert.vocabulary.sentencepiece import sentencepiece_vocabulary
from llamachat.prepare.convert.vocabulary.splits import name_of_splits, pieces


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, kind: int, raw: bytes) -> bytes:
    return varint(number << 3 | kind) + (varint(len(raw)) if kind == 2 else b"") + raw


def sentencepiece_model(texts: list[str], scores: Any, kinds: Any, space: bool) -> bytes:
    out = b""
    for text, score, kind in zip(texts, scores, kinds, strict=True):
        piece = field(1, 2, text.encode()) + field(2, 5, struct.pack("<f", score)) + field(3, 0, varint(int(kind)))
        out += field(1, 2, piece)
    return out + field(2, 2, field(3, 0, varint(2))) + field(3, 2, field(3, 0, varint(int(space))))


def test_a_model_of_sentencepiece(tmp_path: Path) -> None:
    metadata = open_gguf(needed(GOLDEN / "tokenizers" / "ggml-vocab-phi-3.gguf")).metadata
    texts, scores, kinds = (metadata[f"tokenizer.ggml.{name}"] for name in ("tokens", "scores", "token_type"))
    assert isinstance(texts, list)
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_model(texts, scores, kinds, True))
    settings = {"bos_token": "<s>", "eos_token": {"content": "<|endoftext|>"}, "add_bos_token": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = read_vocabulary(tmp_path, Config({"vocab_size": len(texts)}), ())
    assert found["tokenizer.ggml.model"] == "llama"
    assert found["tokenizer.ggml.tokens"] == texts
    assert np.array_equal(np.asarray(found["tokenizer.ggml.scores"]), np.asarray(scores))
    assert np.array_equal(np.asarray(found["tokenizer.ggml.token_type"]), np.asarray(kinds))
    assert (found["tokenizer.ggml.bos_token_id"], found["tokenizer.ggml.eos_token_id"]) == (1, 32000)


def test_a_list_of_word_pieces(tmp_path: Path) -> None:
    path = needed(GOLDEN / "tokenizers" / "ggml-vocab-bert-bge.gguf")
    texts = open_gguf(path).metadata["tokenizer.ggml.tokens"]
    assert isinstance(texts, list)
    marked = {text: text.startswith("[") and text.endswith("]") for text in texts}
    words = [one if marked[one] else one[1:] if one[0] == "\u2581" else f"##{one}" for one in texts]
    (tmp_path / "vocab.txt").write_text("\n".join(words), "utf-8")
    names = {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "pad": "[PAD]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({f"{k}_token": v for k, v in names.items()}))
    own, golden = Tokenizer.from_metadata(read_vocabulary(tmp_path, Config({}), ())), Tokenizer(path)
    for text in ("Hello there, World!", "unaffable caf\u00e9 \u4f60\u597d 12345", "", "a\tb\nc [MASK]"):
        assert own.encode(text) == golden.encode(text), text


@pytest.mark.parametrize("name", [name for name in EXPRESSIONS if name not in CHARACTERS])
def test_a_pre_tokenizer_is_found_by_what_it_does(name: str) -> None:
    if THREES in EXPRESSIONS[name]:
        pytest.skip("tokenizer.json writes this one as an expression")
    parts: list[dict[str, Any]] = [{"type": "Split", "pattern": {"Regex": one}} for one in EXPRESSIONS[name]]
    parts.append({"type": "ByteLevel", "use_regex": False})
    found = name_of_splits(parts, False, (name,))
    assert pieces(EXPRESSIONS[found]) == pieces(EXPRESSIONS[name])


def test_an_unknown_way_to_cut_is_refused() -> None:
    with pytest.raises(Unsupported, match="cuts texts as no tokenizer does"):
        name_of_splits([{"type": "Split", "pattern": {"Regex": "e"}}], False, ())


@pytest.mark.parametrize("raw", [b"", b"\x0a\xff", b"\x07", b"\xff" * 12, b"\x0a\x02\x0a"])
def test_a_broken_model_of_sentencepiece_is_one_sentence(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(raw)
    with pytest.raises(ModelFileError):
        sentencepiece_vocabulary(tmp_path / "tokenizer.model", [])
