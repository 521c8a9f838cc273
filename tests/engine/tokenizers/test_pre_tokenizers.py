"""The words into which pre-tokenizers cut, for texts that tell them apart and for texts that would stop a naive one."""

import random
import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizers import Regex, pre_tokenizers

from llamachat.engine.tokenizers.pre_tokenizers import EXPRESSIONS, THREES, pre_tokenizer
from llamachat.engine.tokenizers.splitting import Splitter, threes


def words(name: str, text: str) -> list[str]:
    """The pieces of a text, without byte encoding."""
    pieces = [text]
    for expression in EXPRESSIONS[name]:
        split = threes if expression == THREES else Splitter(expression).split
        pieces = [piece for whole in pieces for piece in split(whole)]
    return pieces


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
    ("tiny_aya", "1234567 x", ["1", "234", "567", " x"]),
    ("tiny_aya", "1234567x", ["123", "456", "7", "x"]),
    ("afmoe", "a12345\u0e40\u0e41b", ["a", "12", "345", "\u0e40\u0e41", "b"]),
    ("exaone-moe", "to be or  not", ["to be or", " ", " not"]),
    ("youtu", "ab\u4e2d\u6587\uff0c12", ["ab", "\u4e2d\u6587", "\uff0c", "1", "2"]),
    ("chameleon", "IMGIMGABZ 12", ["IMGIMGABZ", " ", "1", "2"]),
    ("gemma4", "a b\n\nc", ["a b", "\n\n", "c"]),
    ("bloom", "\u4e2d\u3002\u6587", ["\u4e2d", "\u3002", "\u6587"]),
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


# Oniguruma has no name for a category without a set; and sees more code points as letters than Python 3.11 does.
_ONIGURUMA = {
    r"\p{Lu-Han}\p{Lt-Han}\p{Lm-Han}\p{Lo-Han}\p{M-Han}": r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]",
    r"\p{Ll-Han}\p{Lm-Han}\p{Lo-Han}\p{M-Han}": r"\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]",
    r"\p{Lu-Uncommon}\p{Ll-Uncommon}\p{Lt-Uncommon}": r"\p{Lu}\p{Ll}\p{Lt}&&[^\x{2D00}-\x{2D2F}"
    r"\x{A790}-\x{A7FF}\x{AB30}-\x{AB6F}\x{10570}-\x{105BF}\x{16E40}-\x{16E7F}\x{1D400}-\x{1DFFF}]",
}
_ALPHABET = [
    *"aZ9'sTre lL vVdm\t\n\r.,!$+<=>^~|`_-/[](){}#@&%*:;?\\\"",
    *"\xa0\x85\u2028\u3000\u200b\xad\u0301\u093f\u0e33\xb5\xdf\u01c5\u02b0",
    *"\u2160\xbd\u0663\u4e2d\u3007\u3042\u30a2\uac00",
    *"\u0e01\u1780\u2d00\u3105\u201c\uff0c\u060c\u06d4\u0964\u20ac\xa9\U0001f600\U0001d400\U00020000\U00010400\ue000",
]


def _random_text(chance: random.Random) -> str:
    return "".join(chance.choice(_ALPHABET) * chance.choice((1, 1, 1, 2, 4)) for _ in range(chance.randrange(40)))


@pytest.mark.parametrize("expression", sorted({one for all_ in EXPRESSIONS.values() for one in all_} - {THREES}))
def test_cuts_are_those_of_a_real_engine_for_regular_expressions(expression: str) -> None:
    written = expression.replace(r"\Z", r"\z")
    for ours, theirs in _ONIGURUMA.items():
        written = written.replace(ours, theirs)
    reference = pre_tokenizers.Split(Regex(written), "isolated")
    splitter, chance = Splitter(expression), random.Random(7)
    for _ in range(300):
        text = _random_text(chance)
        assert splitter.split(text) == [word for word, _ in reference.pre_tokenize_str(text)], text


def test_numbers_are_grouped_from_their_end() -> None:
    assert threes("1234567") == ["1", "234", "567"]
    assert threes("123") == ["123"]
    assert threes("12a") == ["12a"]


def test_threads_that_bring_new_characters_disturb_no_cut() -> None:
    expression = EXPRESSIONS["llama-bpe"][0]
    by_category: dict[str, list[str]] = {}
    for character in map(chr, [*range(0x80, 0xD800), *range(0xE000, 0x11000)]):
        by_category.setdefault(unicodedata.category(character), []).append(character)
    rng, interval = random.Random(1), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            kinds = [rng.sample(sorted(by_category), 8) for _ in range(4)]
            texts = ["1a ".join(rng.choice(by_category[kind]) for kind in some) for some in kinds]
            splitter, begin = Splitter(expression), threading.Barrier(4)

            def split(text: str, splitter: Splitter = splitter, begin: threading.Barrier = begin) -> list[str]:
                begin.wait()
                return splitter.split(text)

            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(split, texts))
            assert found == [Splitter(expression).split(text) for text in texts]
            assert found == [splitter.split(text) for text in texts]
    finally:
        sys.setswitchinterval(interval)
