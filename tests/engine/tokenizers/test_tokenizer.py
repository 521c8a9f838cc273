"""What holds for tokenizers in general: round trips, safety of special tokens, broken files."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import LlamaChatError, ModelFileError, Unsupported, UsageError


def bpe_metadata(**changes: Any) -> dict[str, Any]:
    """A byte-level vocabulary of the letters, two merges and two control tokens."""
    from llamachat.engine.tokenizers.bpe import BYTE_OF

    tokens = [*BYTE_OF, "ab", "abc", "<|im_end|>", "<tool>"]
    kinds = np.array([1] * (len(tokens) - 2) + [3, 4], np.int32)
    metadata = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": tokens,
        "merges": ["a b", "ab c"],
        "token_type": kinds,
        "eos_token_id": len(tokens) - 2,
        "bos_token_id": 0,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in {**metadata, **changes}.items() if value is not None}


def spm_metadata(tokens: dict[str, float], **changes: Any) -> dict[str, Any]:
    """A SentencePiece-style vocabulary: text -> score, after the unknown token and all bytes."""
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *tokens]
    kinds = np.array([2, 3, 3] + [6] * 256 + [1] * len(tokens), np.int32)
    scores = np.array([0.0] * 259 + list(tokens.values()), np.float32)
    metadata = {"model": "llama", "tokens": texts, "scores": scores, "token_type": kinds, **changes}
    return {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}


# SmolLM2 has no token for a few control bytes and bytes of the astral planes: it drops them, as its makers do.
WITH_BYTES = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"]))


@settings(max_examples=200, deadline=None)
@given(text=WITH_BYTES)
def test_smollm_gives_back_every_text(text: str, smollm2: Path) -> None:
    tokenizer = _kept(smollm2)
    pieces = b"".join(tokenizer.piece_bytes(i) for i in tokenizer.encode(text))
    assert pieces.decode(errors="replace") == text


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_gemma_gives_back_every_text(text: str, gemma3: Path) -> None:
    tokenizer = _kept(gemma3)
    pieces = b"".join(tokenizer.piece_bytes(i) for i in tokenizer.encode(text, add_special=False))
    assert pieces.decode(errors="replace") == text.replace("\u2581", " ")


_TOKENIZERS: dict[Path, Tokenizer] = {}


def _kept(path: Path) -> Tokenizer:
    return _TOKENIZERS.setdefault(path, Tokenizer(path)) if path not in _TOKENIZERS else _TOKENIZERS[path]


@pytest.mark.parametrize("fixture", ["smollm2", "gemma3"])
def test_a_person_cannot_spell_a_control_token(fixture: str, request: pytest.FixtureRequest) -> None:
    tokenizer = _kept(request.getfixturevalue(fixture))
    texts = list(tokenizer.special_texts)
    for text in texts[:: max(1, len(texts) // 500)]:
        assert tokenizer.encode(text, add_special=False, parse_special=True) != []
        typed = tokenizer.encode(f"hello {text} you", add_special=False)
        assert tokenizer.encode(text, False, True)[0] not in typed, text


def test_the_highest_score_is_merged_first() -> None:
    tokenizer = Tokenizer.from_metadata(spm_metadata({"a": -9, "b": -9, "c": -9, "ab": -2, "bc": -1}))
    texts = [tokenizer.piece(i) for i in tokenizer.encode("abc", add_special=False)]
    assert texts == ["<0xE2>", "<0x96>", "<0x81>", "a", "bc"]


def test_the_leftmost_of_equals_is_merged_first() -> None:
    tokenizer = Tokenizer.from_metadata(spm_metadata({"a": -9, "aa": -1, "\u2581": -3}))
    assert [tokenizer.piece(i) for i in tokenizer.encode("aaa", add_special=False)] == ["\u2581", "aa", "a"]


def test_tokens_across_words_are_found() -> None:
    metadata = spm_metadata({"a": -9, "b": -9, "\u2581": -9, "a\u2581": -2, "a\u2581b": -1})
    tokenizer = Tokenizer.from_metadata({**metadata, "tokenizer.ggml.add_space_prefix": False})
    assert [tokenizer.piece(i) for i in tokenizer.encode("a b", add_special=False)] == ["a\u2581b"]


@pytest.mark.parametrize(
    "text", ["a" * 100_000, " " * 100_000, "\n" * 100_000, "ab " * 30_000, "\u4e2d" * 50_000, "'" * 50_000]
)
@pytest.mark.parametrize("fixture", ["smollm2", "gemma3"])
def test_long_hostile_texts_are_encoded(fixture: str, text: str, request: pytest.FixtureRequest) -> None:
    tokenizer = _kept(request.getfixturevalue(fixture))
    ids = tokenizer.encode(text, add_special=False)
    assert b"".join(tokenizer.piece_bytes(i) for i in ids).decode() == text


BROKEN = [
    pytest.param(bpe_metadata(model="no_vocab"), "no tokenizer", id="no vocabulary"),
    pytest.param({}, "no tokenizer", id="no keys at all"),
    pytest.param(bpe_metadata(model="sausage"), "sausage", id="unknown family"),
    pytest.param(bpe_metadata(tokens=["a", "b", "a"], token_type=None), "'a' stands there twice", id="token twice"),
    pytest.param(bpe_metadata(model="t5"), "no scores", id="unigram without scores"),
    pytest.param(bpe_metadata(model="plamo2"), "no scores", id="plamo without scores"),
    pytest.param(bpe_metadata(model=7), "model", id="family is a number"),
    pytest.param(bpe_metadata(tokens=None), "no tokens", id="no tokens"),
    pytest.param(bpe_metadata(tokens=[]), "no tokens", id="empty tokens"),
    pytest.param(bpe_metadata(tokens=5), "tokens", id="tokens are a number"),
    pytest.param(bpe_metadata(token_type=np.array([1, 2], np.int32)), "token_type", id="too few types"),
    pytest.param(bpe_metadata(eos_token_id=1_000_000), "eos_token_id", id="eos out of range"),
    pytest.param(bpe_metadata(eos_token_id="x"), "eos_token_id", id="eos is a text"),
    pytest.param(bpe_metadata(add_bos_token=3), "add_bos_token", id="flag is a number"),
    pytest.param(bpe_metadata(merges=["a"]), "merge", id="merge of one part"),
    pytest.param(bpe_metadata(merges=None), "no merges", id="no merges"),
    pytest.param(bpe_metadata(token_type=np.ones(260, np.float32)), "integers", id="types are floats"),
    pytest.param(bpe_metadata(fim_pad_token_id=-5), "fim_pad_token_id", id="fill-in padding out of range"),
    pytest.param(spm_metadata({"a": 1}, scores=np.zeros(3, np.float32)), "scores", id="too few scores"),
    pytest.param(spm_metadata({"a": 1}, scores=None), "scores", id="scores are nothing"),
]


@pytest.mark.parametrize(("metadata", "words"), BROKEN)
def test_a_broken_tokenizer_is_refused_with_the_key(metadata: dict[str, Any], words: str) -> None:
    with pytest.raises((ModelFileError, Unsupported), match=words):
        Tokenizer.from_metadata(metadata).encode("abc")


def test_merges_that_make_no_token_are_harmless() -> None:
    tokenizer = Tokenizer.from_metadata(bpe_metadata(merges=["a b", "x y", "ab c"]))
    assert [tokenizer.piece(i) for i in tokenizer.encode("abcxy", add_special=False)] == ["abc", "x", "y"]


def test_user_defined_tokens_are_always_found_and_control_tokens_on_request() -> None:
    tokenizer = Tokenizer.from_metadata(bpe_metadata())
    control, user = tokenizer.n_vocab - 2, tokenizer.n_vocab - 1
    assert user in tokenizer.encode("a<tool>b")
    assert control not in tokenizer.encode("a<|im_end|>b")
    assert control in tokenizer.encode("a<|im_end|>b", parse_special=True)


@pytest.mark.parametrize("token", [-1, 10_000])
def test_an_id_outside_the_vocabulary_is_refused(token: int) -> None:
    tokenizer = Tokenizer.from_metadata(bpe_metadata())
    with pytest.raises(UsageError, match="vocabulary"):
        tokenizer.decode([token])


KEYS = st.sampled_from(["tokens", "merges", "token_type", "pre", "model", "eos_token_id"])
VALUES = st.one_of(st.integers(), st.text(), st.lists(st.text(), max_size=5), st.none(), st.booleans())


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, VALUES))
def test_random_keys_only_give_our_errors(changes: dict[str, Any]) -> None:
    with contextlib.suppress(LlamaChatError):
        Tokenizer.from_metadata(bpe_metadata(**changes)).encode("hello <|im_end|> world")


def test_tokens_without_a_text_are_no_tokens_that_come_twice() -> None:
    metadata = spm_metadata({"a": -9, "b": -9, "ab": -1}, add_space_prefix=False)
    metadata["tokenizer.ggml.tokens"][4:6] = ["", ""]
    tokenizer = Tokenizer.from_metadata(metadata)
    assert tokenizer.piece(tokenizer.encode("ab")[-1]) == "ab"


@pytest.mark.parametrize(("name", "words"), [("sausage", "'sausage' is not known"), (None, "names no pre-tokenizer")])
def test_an_unknown_pre_tokenizer_is_said_and_the_default_is_used(name: str | None, words: str) -> None:
    found, usual = (Tokenizer.from_metadata(bpe_metadata(pre=pre)) for pre in (name, "default"))
    assert [words in note for note in found.notes] == [True]
    assert usual.notes == ()
    assert found.encode("ab 12345, ab") == usual.encode("ab 12345, ab")


def test_merging_never_ends_in_a_control_token() -> None:
    metadata = bpe_metadata(token_type=np.array([1] * 257 + [3, 3, 4], np.int32))
    tokenizer = Tokenizer.from_metadata(metadata)
    assert [tokenizer.piece(i) for i in tokenizer.encode("abc")] == ["ab", "c"]


def test_scores_never_merge_into_a_control_token() -> None:
    metadata = spm_metadata({"a": -9, "b": -9, "ab": -1}, add_space_prefix=False)
    metadata["tokenizer.ggml.token_type"][-1] = 3
    tokenizer = Tokenizer.from_metadata(metadata)
    assert [tokenizer.piece(i) for i in tokenizer.encode("ab", add_special=False)] == ["a", "b"]
    assert tokenizer.piece(tokenizer.encode("ab", add_special=False, parse_special=True)[0]) == "ab"


@pytest.mark.parametrize(
    "kind", [pytest.param(0, id="undefined"), pytest.param(5, id="unused"), pytest.param(259, id="259")]
)
def test_a_token_of_no_use_prints_nothing(kind: int) -> None:
    metadata = spm_metadata({"a": -9})
    metadata["tokenizer.ggml.token_type"][-1] = kind
    tokenizer = Tokenizer.from_metadata(metadata)
    assert tokenizer.piece_bytes(tokenizer.n_vocab - 1, special=True) == b""


def test_only_the_first_token_loses_the_space_that_encoding_added() -> None:
    tokenizer = Tokenizer.from_metadata(spm_metadata({"\u2581a": -1}))
    token = tokenizer.n_vocab - 1
    assert tokenizer.decode([token, token]) == "a a"
    assert tokenizer.decode([1, token]) == " a"


def test_a_separator_is_for_word_pieces_only() -> None:
    tokenizer = Tokenizer.from_metadata(bpe_metadata(seperator_token_id=3))
    assert 3 not in tokenizer.encode("abc")


@pytest.mark.parametrize("merge", ["hell o", "é é", "hell hell"], ids=["longer than all", "two bytes each", "twice"])
def test_a_merge_whose_result_is_no_token_is_left_out(merge: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The package panics where the result is longer than every token, and prints a backtrace of its own."""
    texts = ["h", "e", "l", "o", "é", "he", "ll", "hell"]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.merges": ["h e", "l l", "he ll", merge],
    }
    assert Tokenizer.from_metadata(metadata).encode("hello", add_special=False) == [
        texts.index("hell"),
        texts.index("o"),
    ]
    assert capfd.readouterr().err == ""
