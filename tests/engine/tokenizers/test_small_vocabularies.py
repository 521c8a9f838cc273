"""Families without large golden vocabularies: small ones made with `sentencepiece` and `tokenizers`, and llama.cpp's
tokens of sixty texts. Built by hand from a corpus of licences; `precompiled_charsmap` is base64.
"""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamachat.engine.tokenizers import Tokenizer

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.json"))
LOSSLESS = ("rwkv", "plamo2", "gemma4", "scored-across-words")
"""What encodes every text without loss: bytes have tokens, and spaces are kept."""

TYPES = {"scores": np.float32, "token_type": np.int32}
_OPENED: dict[str, tuple[Tokenizer, dict[str, Any]]] = {}


def opened(name: str) -> tuple[Tokenizer, dict[str, Any]]:
    """A tokenizer, and what it must do."""
    if name not in _OPENED:
        expected = json.loads((CASES / f"{name}.json").read_text("utf-8"))
        metadata = {}
        for key, value in expected["metadata"].items():
            if key == "precompiled_charsmap":
                value = np.frombuffer(base64.b64decode(value), np.uint8)
            metadata[f"tokenizer.ggml.{key}"] = np.array(value, TYPES[key]) if key in TYPES else value
        _OPENED[name] = Tokenizer.from_metadata(metadata), expected
    return _OPENED[name]


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_bytes_are_those_of_llama_cpp(name: str) -> None:
    tokenizer, expected = opened(name)
    for case in expected["cases"]:
        text = case["text"]
        assert tokenizer.encode(text, False) == case["ids"], text
        assert tokenizer.encode(text, True, True) == case["ids_special_parse"], text
        assert tokenizer.decode_bytes(case["ids"]).hex() == case["detok_hex"], text
        assert tokenizer.decode_bytes(case["ids_special_parse"], True).hex() == case["detok_special_hex"], text


@pytest.mark.parametrize("name", NAMES)
def test_the_same_tokens_end_a_generation(name: str) -> None:
    tokenizer, expected = opened(name)
    assert sorted(tokenizer.eog) == expected["eog"]


@pytest.mark.parametrize("name", LOSSLESS)
@settings(max_examples=100, deadline=None)
@given(text=st.text())
def test_every_text_comes_back(name: str, text: str) -> None:
    tokenizer, _ = opened(name)
    pieces = b"".join(tokenizer.piece_bytes(i) for i in tokenizer.encode(text, add_special=False))
    expected = (
        text if name == "rwkv" else text.removeprefix("\ufeff") if name == "plamo2" else text.replace("\u2581", " ")
    )
    assert pieces.decode() == expected


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50, deadline=None)
@given(text=st.text())
def test_no_text_is_too_strange(name: str, text: str) -> None:
    tokenizer, _ = opened(name)
    ids = tokenizer.encode(text)
    assert all(0 <= token < tokenizer.n_vocab for token in ids)
    assert tokenizer.at_least(text) <= len(ids)


HOSTILE = ["a" * 50_000, " " * 50_000, "1" * 50_000, "\U0001f999" * 20_000, "\n" * 50_000, "ab " * 20_000]


@pytest.mark.parametrize("text", HOSTILE, ids=["letters", "spaces", "digits", "emoji", "lines", "words"])
@pytest.mark.parametrize("name", NAMES)
def test_long_hostile_texts_are_encoded(name: str, text: str) -> None:
    """With an algorithm of quadratic time each of these takes minutes."""
    tokenizer, _ = opened(name)
    half = len(tokenizer.encode(text[: len(text) // 2], add_special=False))
    assert len(tokenizer.encode(text, add_special=False)) <= 2 * half + 2


def test_half_characters_become_replacement_characters() -> None:
    tokenizer, _ = opened("rwkv")
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"
    assert tokenizer.decode(tokenizer.encode("\ud83e\udd99")) == "\U0001f999"
