"""How byte-level BPE tokenizers cut a text into words: `tokenizer.ggml.pre` -> regular expressions.

Several expressions are applied one after the other, each to the pieces of the one before; what lies between two matches
is a piece too. The expressions are those of the models' own tokenizer.json files (Oniguruma's syntax).
"""

from __future__ import annotations

from dataclasses import dataclass

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"


def _words(number: str, letters: str = r"\p{L}+", after_symbols: str = r"[\r\n]*") -> str:
    """Contractions; a word with one symbol before it; numbers; symbols; spaces."""
    symbols = rf" ?[^\s\p{{L}}\p{{N}}]+{after_symbols}"
    return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?{letters}|{number}|{symbols}|{_SPACES}"


def _cased(number: str, suffix: str = "", after_symbols: str = r"[\r\n/]*", without: str = "") -> str:
    """Words that begin a new one at a capital letter."""
    upper, lower = (
        rf"[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}{without}]",
        rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}{without}]",
    )
    first = r"[^\r\n\p{L}\p{N}]?"
    symbols = rf" ?[^\s\p{{L}}\p{{N}}]+{after_symbols}"
    return rf"{first}{upper}*{lower}+{suffix}|{first}{upper}+{lower}*{suffix}|{number}|{symbols}|{_SPACES}"


_LLAMA3 = (_words(r"\p{N}{1,3}"),)
_QWEN2 = (_words(r"\p{N}"),)
_GPT4O = (_cased(r"\p{N}{1,3}", _CONTRACTIONS + "?"),)
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
_CJK = "[一-龥ࠀ-一가-퟿]+"
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
)

# For each list of names, its expressions.
_TABLE: list[tuple[str, tuple[str, ...]]] = [
    ("default", (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
    ("gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert exaone4", (_GPT2,)),
    ("jina-v1-en jina-v2-code roberta-bpe mpt olmo jais trillion granite-docling", (_GPT2,)),
    ("llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe chatglm-bpe glm4", _LLAMA3),
    ("qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2", _QWEN2),
    ("qwen35", (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
                rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}",)),
    ("deepseek-llm", (
        "[\r\n]", r"\s?[\p{Lu}\p{Ll}\p{Lt}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+$", _CJK, r"\p{N}+",
    )),
    ("deepseek-coder", ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, r"\p{N}")),
    ("deepseek-v3 hunyuan-dense joyai-llm", _DEEPSEEK3),
    ("falcon", (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")),
    ("starcoder refact command-r smollm codeshell exaone minerva-7b", (r"\p{N}", _GPT2)),
    ("bloom poro-chat gpt3-finnish", (_BLOOM,)),
    ("viking", (_BLOOM, r"\p{N}")),
    ("tekken", (_cased(r"\p{N}"),)),
    ("gpt-4o llama4 kanana2 minimax-m2", _GPT4O),
    ("kimi-k2", (r"\p{Han}+|" + _cased(r"\p{N}{1,3}", _CONTRACTIONS + "?", r"[\r\n]*", r"&&[^\p{Han}]"),)),
    ("superbpe", (r"\p{N}+", r"(?=(\d{3})+(?!\d))")),
    ("bailingmoe bailingmoe2 llada-moe", (
        r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    )),
    ("seed-coder", (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}",)),
]  # fmt: skip

EXPRESSIONS: dict[str, tuple[str, ...]] = {name: patterns for names, patterns in _TABLE for name in names.split()}

# A whole word that is in the vocabulary is taken without merging.
_LLAMA3_NAMES = ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2")
IGNORE_MERGES = frozenset((*_LLAMA3_NAMES, "tekken", "glm4"))

# A text begins with BOS unless the file says otherwise.
ADD_BOS = frozenset((*_LLAMA3_NAMES, "tekken"))

# Spaces before punctuation are taken out of a detokenised text (not of a streamed one).
_KEEP_SPACES = """
qwen2 deepseek-r1-qwen stablelm2 hunyuan tekken deepseek-llm deepseek-coder deepseek-v3 command-r gpt-4o llama4 qwen35
kimi-k2 superbpe bailingmoe bailingmoe2 llada-moe seed-coder hunyuan-dense grok-2 solar-open minimax-m2
"""
CLEAN_SPACES = EXPRESSIONS.keys() - frozenset(_KEEP_SPACES.split())


@dataclass(frozen=True)
class PreTokenizer:
    """What a name stands for."""

    expressions: tuple[str, ...]
    ignore_merges: bool
    add_bos: bool
    clean_spaces: bool


def pre_tokenizer(name: str) -> PreTokenizer | None:
    """The pre-tokenizer of that name; None for an unknown one."""
    if name not in EXPRESSIONS:
        return None
    return PreTokenizer(EXPRESSIONS[name], name in IGNORE_MERGES, name in ADD_BOS, name in CLEAN_SPACES)
