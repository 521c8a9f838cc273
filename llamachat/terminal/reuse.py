"""The same text in the tokens that a context already holds of it.

A model may spell its answer in other tokens than a tokenizer would; read anew, the whole answer would be evaluated
again. What the context holds is what was said, so it stays as long as it is the same text.
"""

from collections.abc import Callable, Sequence

from llamachat.engine.window import common_prefix


def as_held(tokens: Sequence[int], held: Sequence[int], piece: Callable[[int], bytes]) -> list[int]:
    """`tokens`, its beginning as `held` spells it, up to the last place where a token ends in both.

    piece: the bytes of a token; b"" for control tokens, which are the same only as the same token.
    """
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
