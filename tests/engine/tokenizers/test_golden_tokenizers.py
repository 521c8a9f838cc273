"""Tokenizers are exact: every case of the golden data, in ids and in bytes."""

import json
from pathlib import Path
from typing import Any

import pytest
from golden_data import needed

from llamachat.engine.tokenizers import Tokenizer

VOCABULARIES = ("bert-bge", "command-r", "deepseek-llm", "falcon", "gpt-2", "llama-bpe", "llama-spm", "phi-3")
REAL = {"smollm2": "SmolLM2-135M-Instruct.Q4_1", "gemma3": "gemma-3-270m-Q4_K_M"}
SEPARATOR = "\n__ggml_vocab_test__\n"
WAYS = {
    "ids": (False, False),
    "ids_special": (True, False),
    "ids_parse": (False, True),
    "ids_special_parse": (True, True),
}


@pytest.fixture(scope="module", params=[*VOCABULARIES, *REAL])
def case(request: pytest.FixtureRequest, golden: Path) -> tuple[Tokenizer, dict[str, Any]]:
    """A tokenizer and what it must do."""
    name = request.param
    if name in REAL:
        path = request.getfixturevalue(name)
        return Tokenizer(path), json.loads((golden / "tokenizers" / f"{REAL[name]}.json").read_text())
    path = needed(golden / "tokenizers" / f"ggml-vocab-{name}.gguf")
    return Tokenizer(path), json.loads((golden / "tokenizers" / f"{name}.json").read_text())


@pytest.mark.parametrize("way", WAYS)
def test_ids_are_exact(case: tuple[Tokenizer, dict[str, Any]], way: str) -> None:
    tokenizer, expected = case
    for one in expected["cases"]:
        assert tokenizer.encode(one["text"], *WAYS[way]) == one[way], one["text"]


def test_no_text_has_fewer_tokens_than_at_least(case: tuple[Tokenizer, dict[str, Any]]) -> None:
    tokenizer, expected = case
    odd = ["-" * 5000, " " * 5000, "\x04" * 5000, "\u6f22" * 500, "\U0001f999" * 500, "hello " * 500]
    for text in [*odd, *(one["text"] for one in expected["cases"])]:
        assert tokenizer.at_least(text) <= len(tokenizer.encode(text, add_special=False)), text[:40]


def test_a_long_text_of_words_has_tokens(case: tuple[Tokenizer, dict[str, Any]]) -> None:
    tokenizer, expected = case
    unbounded = "bert" in str(expected.get("model", "")) or tokenizer.at_least("hello") == 0
    assert unbounded or tokenizer.at_least("hello " * 100_000) > 1000


def test_detokenised_bytes_are_exact(case: tuple[Tokenizer, dict[str, Any]]) -> None:
    tokenizer, expected = case
    for one in expected["cases"]:
        assert tokenizer.decode_bytes(one["ids"]).hex() == one["detok_hex"], one["text"]
        assert tokenizer.decode_bytes(one["ids_special_parse"], special=True).hex() == one["detok_special_hex"], one[
            "text"
        ]


def test_single_pieces_are_exact(case: tuple[Tokenizer, dict[str, Any]]) -> None:
    tokenizer, expected = case
    assert {i: tokenizer.piece_bytes(int(i), special=True).hex() for i in expected["pieces_hex"]} == expected[
        "pieces_hex"
    ]


def test_special_tokens_are_understood(case: tuple[Tokenizer, dict[str, Any]]) -> None:
    tokenizer, expected = case
    meta = expected["meta"]
    for name in ("bos", "eos", "eot"):
        assert (-1 if getattr(tokenizer, name) is None else getattr(tokenizer, name)) == meta[name], name
    assert (tokenizer.add_bos, tokenizer.add_eos) == (meta["add_bos"], meta["add_eos"])
    assert tokenizer.eog == frozenset(expected["eog"])
    assert tokenizer.n_vocab == meta["n_tokens"]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_lines_of_llama_cpp_agree(golden: Path, name: str) -> None:
    path = golden / "tokenizers" / f"ggml-vocab-{name}.gguf"
    tokenizer = Tokenizer(needed(path))
    texts = needed(path.with_suffix(".gguf.inp")).read_bytes().decode().split(SEPARATOR)
    lines = path.with_suffix(".gguf.out").read_text().split("\n")
    for text, line in zip(texts, lines, strict=False):
        assert tokenizer.encode(text, add_special=False) == [int(i) for i in line.split()], text
