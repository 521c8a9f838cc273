"""Texts are cut at special tokens as llama.cpp cuts them, and in time that does not explode."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamachat.engine.tokenizers.partition import Special, partition, read_stripping
from llamachat.engine.tokenizers.vocabulary import Keys

CASES = [
    pytest.param("", ["<s>"], [], id="nothing"),
    pytest.param("abc", ["<s>"], ["abc"], id="none found"),
    pytest.param("<s>a<s><s>b", ["<s>"], [0, "a", 0, 0, "b"], id="several"),
    pytest.param("aaaaa", ["aaa", "aa"], [0, 1], id="longest first"),
    pytest.param("xabcy", ["bcy", "ab"], ["xa", 0], id="the longer wins though it begins later"),
    pytest.param("abab", ["bab", "ab"], ["a", 0], id="what is taken is passed over"),
]


@pytest.mark.parametrize(("text", "texts", "expected"), CASES)
def test_a_text_is_cut(text: str, texts: list[str], expected: list[str | int]) -> None:
    assert partition(text, [Special(one, i) for i, one in enumerate(texts)]) == expected


def one_by_one(text: str, texts: list[str]) -> list[str | int]:
    """The definition: each special in turn cuts what is still text."""
    fragments: list[str | int] = [text] if text else []
    for token, special in enumerate(texts):
        cut: list[str | int] = []
        for fragment in fragments:
            pieces = [fragment] if isinstance(fragment, int) else fragment.split(special)
            for i, piece in enumerate(pieces):
                cut += [token] * bool(i) + ([piece] if piece != "" else [])
        fragments = cut
    return fragments


@given(st.text("ab<", max_size=40), st.lists(st.text("ab<", min_size=1, max_size=5), unique=True, max_size=6))
def test_the_cut_is_that_of_one_special_after_the_other(text: str, texts: list[str]) -> None:
    longest_first = sorted(texts, key=len, reverse=True)
    assert partition(text, [Special(one, i) for i, one in enumerate(longest_first)]) == one_by_one(text, longest_first)


def test_white_space_is_stripped_beside_the_token_and_only_there() -> None:
    specials = [Special("<r>", 0, strips_right=True), Special("<l>", 1, strips_left=True)]
    assert partition("a <r> \n b <l> c", specials) == ["a ", 0, "b", 1, " c"]


def test_a_space_that_is_not_of_ascii_stays() -> None:
    assert partition("<r>\u00a0 a", [Special("<r>", 0, strips_right=True)]) == [0, "\u00a0 a"]


@pytest.mark.parametrize(("text", "strips"), [("<|end|>", True), ("</s>", True), ("<s>", False), ("<unk>", False)])
def test_phi_3_strips_after_most_tokens(text: str, strips: bool) -> None:
    assert read_stripping(Keys({"general.name": "Phi-3-mini"})).special(text, 0).strips_right is strips
    assert not read_stripping(Keys({"general.name": "llama"})).special(text, 0).strips_right


def test_a_mask_strips_before_itself_where_the_pre_tokenizer_says_so() -> None:
    stripping = read_stripping(Keys({"tokenizer.ggml.pre": "jina-v2-code"}))
    assert stripping.special("<mask>", 0).strips_left
    assert not stripping.special("<s>", 0).strips_left


def test_ten_thousand_specials_in_one_text_are_found() -> None:
    specials = [Special(f"<unused{i:05}>", i) for i in range(10_000)]
    assert partition("".join(one.text for one in specials), specials) == list(range(10_000))
