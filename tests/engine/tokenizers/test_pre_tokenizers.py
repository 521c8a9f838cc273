"""The words into which pre-tokenizers cut, for texts that tell them apart and for texts that would stop a naive one."""

import pytest
from tokenizers import Regex, pre_tokenizers

from llamachat.engine.tokenizers.pre_tokenizers import EXPRESSIONS, pre_tokenizer


def words(name: str, text: str) -> list[str]:
    """The pieces of a text, without byte encoding."""
    splits = [pre_tokenizers.Split(Regex(one), "isolated") for one in EXPRESSIONS[name]]
    return [word for word, _ in pre_tokenizers.Sequence(splits).pre_tokenize_str(text)]


CUTS = [
    ("gpt-2", "I'm 12345  x", ["I", "'m", " 12345", " ", " x"]),
    ("smollm", "a 123", ["a", " ", "1", "2", "3"]),
    ("llama-bpe", "I'M 12345 x!\n\n y", ["I", "'M", " ", "123", "45", " x", "!\n\n", " y"]),
    ("qwen2", "a12", ["a", "1", "2"]),
    ("tekken", "helloWorld", ["hello", "World"]),
    ("gpt-4o", "don't", ["don't"]),
    ("kimi-k2", "a\u4e2d\u6587b", ["a", "\u4e2d\u6587", "b"]),
    ("deepseek-v3", "x1234", ["x", "123", "4"]),
    ("deepseek-llm", "a  1  ", ["a", "  ", "1", "  "]),
    ("deepseek-llm", "\U0001d400b", ["\U0001d400", "b"]),
    ("superbpe", "x1234567y", ["x", "1", "234", "567", "y"]),
    ("superbpe", "123456", ["123", "456"]),
    ("jais-2", "a     b", ["a", "    ", " b"]),
    ("minicpm5", "12345", ["123", "45"]),
    ("ufakzeka", "I'm", ["I", "'m"]),
]


@pytest.mark.parametrize(("name", "text", "expected"), CUTS)
def test_a_text_is_cut_into_words(name: str, text: str, expected: list[str]) -> None:
    assert words(name, text) == expected


@pytest.mark.parametrize("name", sorted({patterns: name for name, patterns in EXPRESSIONS.items()}.values()))
def test_long_runs_are_cut_and_lose_nothing(name: str) -> None:
    # With an expression of quadratic time each of these takes most of a minute.
    for text in (" " * 100_000 + "1", "1" * 100_000 + "a", "\n" * 100_000 + " a", "aA" * 50_000, " 1" * 50_000):
        assert "".join(words(name, text)) == text


@pytest.mark.parametrize(
    ("name", "cleans"), [("gpt-2", True), ("falcon", True), ("smollm", False), ("qwen2", False), ("stablelm2", True)]
)
def test_spaces_before_punctuation_go_only_where_the_models_say_so(name: str, cleans: bool) -> None:
    found = pre_tokenizer(name)
    assert found is not None
    assert found.clean_spaces is cleans
