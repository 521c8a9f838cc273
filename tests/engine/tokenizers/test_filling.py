"""Prompts for filling in the middle: the marks that a vocabulary has, other files, and what fits a context."""

from typing import Any

import numpy as np
import pytest

from llamachat.engine.tokenizers import Tokenizer
from llamachat.engine.tokenizers.bpe import BYTE_OF
from llamachat.engine.tokenizers.filling import Gap, fill_in
from llamachat.errors import UsageError


def with_marks(*marks: str, **keys: Any) -> Tokenizer:
    """Bytes, and these control tokens."""
    tokens = [*BYTE_OF, *marks]
    kinds = np.array([1] * len(BYTE_OF) + [3] * len(marks), np.int32)
    metadata = {"model": "gpt2", "pre": "gpt-2", "tokens": tokens, "merges": ["a b"], "token_type": kinds, **keys}
    return Tokenizer.from_metadata({f"tokenizer.ggml.{key}": value for key, value in metadata.items()})


def spelled(tokenizer: Tokenizer, gap: Gap, n_ctx: int | None = None) -> str:
    return tokenizer.decode(fill_in(tokenizer, gap, n_ctx).ids, special=True)


QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>")
FAMILIES = [
    pytest.param(QWEN, "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>", id="Qwen"),
    pytest.param(
        ("<fim_prefix>", "<fim_middle>", "<fim_suffix>"), "<fim_prefix>a<fim_suffix>b<fim_middle>", id="StarCoder"
    ),
    pytest.param(
        ("<fim-prefix>", "<fim-middle>", "<fim-suffix>"), "<fim-prefix>a<fim-suffix>b<fim-middle>", id="SantaCoder"
    ),
    pytest.param(
        ("<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>"),
        "<｜fim▁begin｜>a<｜fim▁hole｜>b<｜fim▁end｜>",
        id="DeepSeek-Coder",
    ),
    pytest.param(("▁<PRE>", "▁<SUF>", "▁<MID>"), "▁<PRE>a▁<SUF>b▁<MID>", id="CodeLlama"),
    pytest.param(("[SUFFIX]", "[PREFIX]", "[MIDDLE]"), "[SUFFIX]b[PREFIX]a", id="Codestral"),
]


@pytest.mark.parametrize(("marks", "expected"), FAMILIES)
def test_the_marks_are_known_by_their_texts(marks: tuple[str, ...], expected: str) -> None:
    assert spelled(with_marks(*marks), Gap("a", "b")) == expected


@pytest.mark.parametrize(
    "keys", [("fim_pre", "fim_suf", "fim_mid"), ("prefix", "suffix", "middle")], ids=["keys", "older keys"]
)
def test_the_marks_are_known_by_their_keys(keys: tuple[str, ...]) -> None:
    ids = {f"{key}_token_id": len(BYTE_OF) + i for i, key in enumerate(keys)}
    assert spelled(with_marks("<1>", "<2>", "<3>", **ids), Gap("a", "b")) == "<1>a<2>b<3>"


@pytest.mark.parametrize("marks", [(), QWEN[:1], QWEN[:2]], ids=["none", "no suffix", "no middle"])
def test_a_model_without_the_marks_is_refused(marks: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="this model cannot fill in the middle"):
        fill_in(with_marks(*marks), Gap("a", "b"))


def test_other_files_come_first_with_their_names() -> None:
    gap = Gap("a", "b", [("x.py", "one\n"), ("y.py", "two")], "main.py", "mine")
    marked = "<|repo_name|>mine\n<|file_sep|>x.py\none\n<|file_sep|>y.py\ntwo\n<|file_sep|>main.py\n"
    assert spelled(with_marks(*QWEN), gap) == f"{marked}<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"
    assert spelled(with_marks(*QWEN[:3]), gap).startswith("one\n\ntwo\n\n<|fim_prefix|>a")


def test_what_a_person_wrote_holds_no_marks() -> None:
    tokenizer = with_marks(*QWEN)
    ids = fill_in(tokenizer, Gap("<|fim_middle|>", "<|fim_prefix|>")).ids
    assert [ids.count(tokenizer.fill_in.prefix), ids.count(tokenizer.fill_in.middle)] == [1, 1]


def test_what_is_far_from_the_gap_is_left_out_first() -> None:
    tokenizer = with_marks(*QWEN)
    gap = Gap("x" * 500 + "a", "b" + "y" * 500, [("long.py", "z" * 500)], "main.py")
    filled = fill_in(tokenizer, gap, 400)
    text = tokenizer.decode(filled.ids, special=True)
    assert len(filled.ids) <= 300
    assert "xa<|fim_suffix|>by" in text
    before, after = text.removeprefix("<|fim_prefix|>").removesuffix("<|fim_middle|>").split("<|fim_suffix|>")
    assert len(before) == 3 * len(after)
    assert "z" not in text
    whole = len(fill_in(tokenizer, gap).ids)
    assert filled.n_left_out == whole - len(filled.ids)


def test_a_short_text_leaves_its_room_to_the_other_side_and_to_files() -> None:
    tokenizer = with_marks(*QWEN)
    gap = Gap("a", "b" * 250, [("far.py", "z" * 500), ("near.py", "w" * 20)], "main.py")
    text = spelled(tokenizer, gap, 400)
    assert text.count("b") == 250
    assert "near.py" in text
    assert "z" not in text


STOPS = [
    pytest.param(")\n    return a\n", ("\n    return a",), id="a line with words"),
    pytest.param("    return a", (), id="no whole line"),
    pytest.param("\n\n}\n", (), id="a line that may come often"),
]


@pytest.mark.parametrize(("suffix", "expected"), STOPS)
def test_the_filling_ends_where_it_repeats_what_follows(suffix: str, expected: tuple[str, ...]) -> None:
    assert Gap("", suffix).stop == ("<file_sep>", *expected)


def test_no_space_is_put_before_the_text_after_a_gap() -> None:
    texts = [
        "<unk>",
        "<s>",
        "</s>",
        "\u2581",
        "a",
        "b",
        "\u2581a",
        "\u2581b",
        "\u2581<PRE>",
        "\u2581<SUF>",
        "\u2581<MID>",
    ]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.scores": -np.arange(len(texts), dtype=np.float32),
        "tokenizer.ggml.token_type": np.array([2, 3, 3] + [1] * 5 + [3] * 3, np.int32),
    }
    tokenizer = Tokenizer.from_metadata(metadata)
    shown = [tokenizer.piece(token) for token in fill_in(tokenizer, Gap("a", "b")).ids]
    assert shown == ["<s>", "\u2581<PRE>", "\u2581a", "\u2581<SUF>", "b", "\u2581<MID>"]
