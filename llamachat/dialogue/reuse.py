"""The same text in the tokens that a context already holds of it.

A model may spell its answer in other tokens than a tokenizer would. Tokenized again, the whole answer would be
evaluated again. So the tokens in the context stay as long as they spell the same text.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llamachat.engine.generation_context import common_prefix

if TYPE_CHECKING:
    from llamachat.engine.context import Context

Piece = Callable[[int], bytes]
"""The bytes of a token; b"" for control tokens, which are the same only as the same token."""


def as_held(tokens: Sequence[int], held: Sequence[int], piece: Piece) -> list[int]:
    """`tokens`, its beginning as `held` spells it, up to the last place where a token ends in both."""
    first = second = common_prefix(held, tokens)
    met, ahead, behind = (first, second), b"", b""  # what one of them has spelled and the other has not
    while (first < len(held) or ahead) and (second < len(tokens) or behind):
        if ahead:
            said, second = piece(tokens[second]), second + 1
            behind = said
        elif behind:
            said, first = piece(held[first]), first + 1
            ahead = said
        elif held[first] == tokens[second]:
            first, second = first + 1, second + 1
            met = first, second
            continue
        else:
            ahead, behind = piece(held[first]), piece(tokens[second])
            said, first, second = ahead and behind, first + 1, second + 1
        n_same = min(len(ahead), len(behind))
        if not said or ahead[:n_same] != behind[:n_same]:
            break
        ahead, behind = ahead[n_same:], behind[n_same:]
        if not ahead and not behind:
            met = first, second
    return [*held[: met[0]], *tokens[met[1] :]]


def keep_same(context: "Context", tokens: Sequence[int]) -> None:
    """Forgets what a context holds after the beginning of the same text; that beginning is not evaluated again."""
    n_same = common_prefix(context.tokens, tokens)
    if context.self_extend is not None and n_same < len(context.tokens):
        n_same = min(n_same, context.n_reusable)  # positions that are shared cannot be parted
    context.rewind(n_same)


def forget_between(context: "Context", before: Sequence[int], after: Sequence[int], piece: Piece) -> None:
    """Removes from a context of the tokens `before` what `after` does not have, if that is one stretch of tokens.

    What follows it moves down and is not evaluated again (`Context.remove`). A context that cannot be shifted stays as
    it is: it is evaluated again as far as it must be.
    """
    first, n_less = common_prefix(before, after), len(before) - len(after)
    if not context.can_shift or n_less <= 0 or before[first + n_less :] != after[first:]:
        return
    n_same = common_prefix(as_held(before, context.tokens, piece), context.tokens)
    held = context.tokens[:n_same]
    start, end = (_n_held(before[:place], held, piece) for place in (first, first + n_less))
    if start is not None and end is not None and context.reachable(n_same) == n_same:
        context.rewind(n_same)
        if context.shift_refusal(start, end):
            return
        context.remove(start, end)


def _n_held(tokens: Sequence[int], held: Sequence[int], piece: Piece) -> int | None:
    """How many tokens of `held` spell `tokens`; None where none end there."""
    same = as_held(tokens, held, piece)
    return len(same) if list(held[: len(same)]) == same else None
