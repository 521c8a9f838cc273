"""A model's vocabulary as llguidance needs it: the bytes of every token, and the tokens that end a text.

It is made from the vocabulary of the GGUF file, once for each, when a grammar is first used with it: 0.2 s for 49,152
tokens, 1.0 s for 262,144 (bytes 0.3 s, their tree 0.7 s; a Xeon at 2 GHz). Nothing of it can be kept on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from llamachat.engine.panics import without_backtraces
from llamachat.errors import GrammarError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llguidance import LLMatcher, LLTokenizer

# Tokens of text inside a string are masked as one, where a lexeme admits all of them. One slice instead of
# llguidance's four: the others cost 0.3 s more when made and save nothing that was measured.
SLICES = [r'[^"\\\x00-\x1F\x7F]{1,30}']


PLAIN = {
    "symbols.len()": "it is too large, it needs more than 65,000 symbols",
    "NoExtension": "no token of the vocabulary continues the text",
    "RecursionError": "it nests too deep",
    "recursion depth": "it nests too deep",
}
"""What llguidance and other libraries say in their own terms, and what it means."""

LONGEST_TOKEN = 1000
STEP_FUEL, STEP_ITEMS = 2_000_000, 200_000
"""What llguidance may do for one token, in its own units: 0.1 s at most. Its defaults (a tenth, a fourth) end an answer
where a grammar that could be built is merely slow.
"""

_PLACE = re.compile(r"^at \d+\(\d+\): ")


class VocabularyBytes(Protocol):
    """What a grammar needs of a tokenizer."""

    @property
    def n_vocab(self) -> int:
        """How many tokens there are."""
        ...

    @property
    def eog(self) -> Collection[int]:
        """The tokens that end a generation."""
        ...

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """What `token` prints; may be part of a character, or nothing. special: a control token's name, too."""
        ...


class _Tokens:
    """The fields that LLTokenizer reads. Tokens without bytes (control tokens), or with more than llguidance's tree has
    room for, are never admitted as text.
    """

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, vocabulary: VocabularyBytes) -> None:
        pieces = (vocabulary.piece_bytes(token) for token in range(vocabulary.n_vocab))
        self.tokens = [piece if len(piece) <= LONGEST_TOKEN else b"" for piece in pieces]
        self.special_token_ids: list[int] = []
        for end in vocabulary.eog:
            self.tokens[end] = b""
        self.eos_token_id = min(vocabulary.eog)

    def __call__(self, text: str | bytes) -> list[int]:
        """A text cut into the longest tokens, from left to right. Generating never asks for it, testing a text does."""
        ids: dict[bytes, int] = {piece: token for token, piece in enumerate(self.tokens) if piece}
        longest = max(map(len, ids))
        raw, found, at = text.encode() if isinstance(text, str) else text, [], 0
        while at < len(raw):
            piece = next((raw[at:end] for end in range(at + longest, at, -1) if raw[at:end] in ids), None)
            if piece is None:
                raise ValueError(f"no token has the byte {raw[at]:#04x}")
            found.append(ids[piece])
            at += len(piece)
        return found


_made: WeakKeyDictionary[VocabularyBytes, LLTokenizer] = WeakKeyDictionary()


def token_tree(vocabulary: VocabularyBytes) -> LLTokenizer:
    """llguidance's form of a vocabulary, made on the first call with it.

    Raises GrammarError where the vocabulary has no end token: a grammar's end could not be expressed.
    """
    if vocabulary not in _made:
        if not vocabulary.eog:
            raise GrammarError("the model's vocabulary has no end token, so a grammar cannot be used with it")
        with guarded("the vocabulary cannot be used with a grammar"):
            from llguidance import LLTokenizer

            fields: Any = _Tokens(vocabulary)
            made = LLTokenizer(fields, eos_token=sorted(vocabulary.eog), slices=SLICES)
        _made[vocabulary] = made
    return _made[vocabulary]


def token_id(vocabulary: VocabularyBytes, name: str, grammar: str) -> int:
    """The token that a grammar means by `<[12]>`, or by its text, as `<think>`. Raises UsageError if there is none."""
    if name.startswith("<[") and name.endswith("]>"):
        number = int(name[2:-2])
        if number < vocabulary.n_vocab:
            return number
        raise UsageError(f"{grammar}: the model has {vocabulary.n_vocab} tokens, and none of the number {number}")
    text = name.encode("utf-8", "surrogatepass")
    found = [token for token in range(vocabulary.n_vocab) if vocabulary.piece_bytes(token, special=True) == text]
    if not found:
        raise UsageError(f"{grammar}: the model has no token {name!r:.60}")
    # A control token prints nothing; of two with the same text it is the one that is meant.
    return next((token for token in found if not vocabulary.piece_bytes(token)), found[0])


class _Bytes:
    """The smallest vocabulary: the bytes, and an end."""

    n_vocab = 257
    eog = frozenset((256,))

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """The byte itself."""
        return bytes((token,)) if token < 256 else b""


@cache
def byte_tree() -> LLTokenizer:
    """The vocabulary with which a grammar is tried before a model is there."""
    return token_tree(_Bytes())


def compiled(tokens: LLTokenizer, grammar: str, what: str, error: Callable[[str], Exception]) -> LLMatcher:
    """A matcher at the beginning of a grammar in llguidance's notation; `error` as for `guarded`."""
    with guarded(what, error):
        from llguidance import LLMatcher, LLParserLimits

        limits = LLParserLimits(step_lexer_fuel=STEP_FUEL, step_max_items=STEP_ITEMS, verbose_errors=False)
        matcher = LLMatcher(tokens, LLMatcher.grammar_from_lark(grammar), log_level=0, limits=limits)
        if not matcher.is_error():
            matcher.compute_bitmask()
        said = matcher.get_error()
    if said:
        raise error(f"{what}: {reason(said)}")
    return matcher


@contextmanager
def guarded(what: str, error: Callable[[str], Exception] = GrammarError) -> Iterator[None]:
    """Turns whatever llguidance raises, its panics too, into `error`, whose text begins with `what`."""
    try:
        with without_backtraces():
            yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as raised:
        # A panic is a BaseException of its own, so that nobody catches it by accident.
        if not isinstance(raised, Exception) and type(raised).__name__ != "PanicException":
            raise
        raise error(f"{what}: {reason(str(raised))}") from raised


def reason(message: str) -> str:
    """The sentence in llguidance's message, which continues with the state of its parser and the grammar's text."""
    text = message.strip() or "no reason given"
    for ending in ("<state>", "<backtrace>", "<grammar>", "<non-verbose/>", "\n   1 |", "\n   2 |"):
        text = text.split(ending, 1)[0]
    text = _PLACE.sub("", text.strip()).removeprefix("failed to compile JSON schema: ")
    plain = next((sentence for sign, sentence in PLAIN.items() if sign in text), text)
    return " ".join(plain.split())[:300]
