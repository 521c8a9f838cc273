"""How BPE tokenizers cut a text into words: `tokenizer.ggml.pre` -> expressions and habits.

Several expressions are applied one after the other, each to the pieces of the one before; what lies between two matches
is a piece too. The expressions are those of the models' own tokenizer.json files, in the syntax of
`splitting.py: Splitter`, except where those take quadratic time on long runs of spaces or digits. `THREES` stands for
numbers in groups of three from their end.
"""

from __future__ import annotations

from dataclasses import dataclass

THREES = "threes"

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"


def _words(number: str, spaces: str = _SPACES) -> str:
    """Contractions; a word with one symbol before it; numbers; symbols and line ends; spaces."""
    symbols = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
    return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{number}|{symbols}|{spaces}"


def _cased(number: str, suffix: str = "", after_symbols: str = r"[\r\n/]*", without: str = "") -> str:
    """Words that begin a new one at a capital letter. without: a set that is left out of the letters."""
    upper = "".join(rf"\p{{{one}{without}}}" for one in ("Lu", "Lt", "Lm", "Lo", "M"))
    lower = "".join(rf"\p{{{one}{without}}}" for one in ("Ll", "Lm", "Lo", "M"))
    first = r"[^\r\n\p{L}\p{N}]?"
    symbols = rf" ?[^\s\p{{L}}\p{{N}}]+{after_symbols}"
    words = rf"{first}[{upper}]*[{lower}]+{suffix}|{first}[{upper}]+[{lower}]*{suffix}"
    return rf"{words}|{number}|{symbols}|{_SPACES}"


_LLAMA3 = (_words(r"\p{N}{1,3}"),)
_QWEN2 = (_words(r"\p{N}"),)
_GPT4O = _cased(r"\p{N}{1,3}", f"{_CONTRACTIONS}?")
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
_CJK = "[一-龥ࠀ-一가-퟿]+"
_DEEPSEEK_LETTERS = r"[\p{Lu-Uncommon}\p{Ll-Uncommon}\p{Lt-Uncommon}]"
# `\s+$`, but tried once for each run of spaces instead of once for each space.
_TRAILING_SPACES = r"(?<!\s)\s+\Z"
# `(?=(\d{3})+(?!\d))` for whole runs of digits: looks to the end of a run from its beginning only.
_DIGITS_FROM_THE_RIGHT = r"(?<!\d)\d{1,2}(?=(?>(?:\d{3})+)(?!\d))|\d{3}"


def _deepseek3(after_symbols: str, spaces: str = _SPACES) -> str:
    symbols = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
    words = rf"[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+| ?[\p{{P}}\p{{S}}]+{after_symbols}"
    return f"{symbols}|{words}|{spaces}"


_KANA = "[一-龥぀-ゟ゠-ヿ]+"
_DEEPSEEK3 = (r"\p{N}{1,3}", _KANA, _deepseek3(r"[\r\n]*"))
_ASIAN = "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+"
_CHOSEN_CJK = f"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|{_KANA}"
_CASCADE = "|".join([*(rf"\s{{{2**i}}}(?!\S)" for i in range(9, 1, -1)), r"\s{1,2}(?!\S)|\s"])
# Words with single spaces between them are one piece.
_PHRASE = r"\p{L}[\p{L}\p{M}]*+(?: \p{L}[\p{L}\p{M}]*+)*+"
_LINES = r"[^\n]+|[\n]+"

# For each list of names, its expressions.
_TABLE: list[tuple[str, tuple[str, ...]]] = [
    ("default", (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
    ("gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert exaone4", (_GPT2,)),
    ("jina-v1-en jina-v2-code roberta-bpe mpt olmo jais trillion granite-docling", (_GPT2,)),
    ("llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", _LLAMA3),
    ("dbrx smaug-bpe chatglm-bpe glm4 glm5", _LLAMA3),
    ("jais-2", (_words(r"\p{N}{1,3}", spaces=rf"\s*[\r\n]+|{_CASCADE}"),)),
    ("qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2", _QWEN2),
    ("laguna", (_LINES, *_QWEN2)),
    ("minicpm5", (r"\p{N}{1,3}", _words(r"\p{N}+"))),
    ("ufakzeka", (_words(r"\p{N}").removeprefix(f"{_CONTRACTIONS}|"),)),
    ("qwen35", (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
                rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}",)),
    ("deepseek-llm", (
        "[\r\n]", rf"\s?{_DEEPSEEK_LETTERS}+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        _TRAILING_SPACES, _CJK, r"\p{N}+",
    )),
    ("deepseek-coder", ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, r"\p{N}")),
    ("deepseek-v3 hunyuan-dense joyai-llm hy_v4", _DEEPSEEK3),
    ("spark2_5", (r"\p{N}{1,3}", _KANA, _deepseek3("", r"[\r\n]|\s+(?!\S)|\s+"), r"\p{N}")),
    ("afmoe", (r"\p{N}+", THREES, _ASIAN, _deepseek3(r"[\r\n]*"))),
    ("youtu", (_CHOSEN_CJK, _cased(r"\p{N}", f"{_CONTRACTIONS}?"))),
    ("falcon", (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")),
    ("starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", (r"\p{N}", _GPT2)),
    ("bloom poro-chat gpt3-finnish", (_BLOOM,)),
    ("viking", (_BLOOM, r"\p{N}")),
    ("tekken", (_cased(r"\p{N}"),)),
    ("gpt-4o llama4 kanana2 talkie minimax-m2 granite-embed-multi-97m", (_GPT4O,)),
    ("tiny_aya cohere2moe", (r"(?<!\d)\d++(?!\w)", THREES, _GPT4O)),
    ("kimi-k2", (r"\p{Han}+|" + _cased(r"\p{N}{1,3}", f"{_CONTRACTIONS}?", r"[\r\n]*", "-Han"),)),
    ("superbpe", (r"\p{N}+", _DIGITS_FROM_THE_RIGHT)),
    ("bailingmoe bailingmoe2 llada-moe", (
        r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    )),
    ("seed-coder", (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}",)),
    ("exaone-moe", (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?{_PHRASE}|\p{{N}}"
                    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",)),
    ("chameleon", (
        "<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", r"[\t\n]|    |  ", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]", _GPT2,
    )),
    ("gemma4 granite-embed-multi-311m sarvam-moe", (_LINES,)),
    ("whitespace", (r"\S+",)),
]  # fmt: skip

EXPRESSIONS: dict[str, tuple[str, ...]] = {name: patterns for names, patterns in _TABLE for name in names.split()}

_LLAMA3_NAMES = (
    *("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"),
)

# A whole word that is in the vocabulary is taken without merging.
IGNORE_MERGES = frozenset(
    (*_LLAMA3_NAMES, "tekken", "glm4", "glm5", "minicpm5", "youtu", "granite-embed-multi-97m"),
)

# No token stands for BOS unless the file names one (elsewhere it is 11).
WITHOUT_BOS = frozenset(("glm4", "glm5", "chatglm-bpe"))

# A text begins with BOS unless the file says otherwise.
ADD_BOS = frozenset((*_LLAMA3_NAMES, "tekken", "chameleon"))

# Merged as characters: spaces are written as U+2581, and what is no token becomes bytes `<0x41>`.
ESCAPES_SPACES = frozenset(("gemma4", "granite-embed-multi-311m", "sarvam-moe"))
CHARACTERS = ESCAPES_SPACES | {"whitespace"}

# A text begins with BOS whatever the file says.
ALWAYS_BOS = frozenset(("gemma4", "granite-embed-multi-311m"))

# Spaces before punctuation are taken out of a detokenised text (not of a streamed one).
_KEEP_SPACES = """
qwen2 deepseek-r1-qwen kormo f2llmv2 qwen35 hunyuan solar-open grok-2 laguna ufakzeka
deepseek-llm deepseek-coder deepseek-v3 hunyuan-dense joyai-llm hy_v4 spark2_5 afmoe youtu
command-r smollm trillion granite-docling poro-chat viking tekken gpt-4o llama4 kanana2 talkie minimax-m2
kimi-k2 superbpe bailingmoe bailingmoe2 llada-moe seed-coder tiny_aya cohere2moe granite-embed-multi-97m
chameleon sarvam-moe
"""
CLEAN_SPACES = EXPRESSIONS.keys() - frozenset(_KEEP_SPACES.split())


@dataclass(frozen=True)
class PreTokenizer:
    """What a name stands for. characters: merged as characters, not as bytes; see the lists above."""

    expressions: tuple[str, ...]
    ignore_merges: bool
    add_bos: bool
    clean_spaces: bool
    characters: bool
    escapes_spaces: bool


def pre_tokenizer(name: str) -> PreTokenizer | None:
    """The pre-tokenizer of that name; None for an unknown one."""
    return _made(name) if name in EXPRESSIONS else None


def _made(name: str) -> PreTokenizer:
    return PreTokenizer(
        EXPRESSIONS[name],
        name in IGNORE_MERGES,
        name in ADD_BOS or name in ALWAYS_BOS,
        name in CLEAN_SPACES,
        name in CHARACTERS,
        name in ESCAPES_SPACES,
    )


DEFAULT = _made("default")
GEMMA4 = _made("gemma4")
