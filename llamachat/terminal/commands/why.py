"""/why: the alternatives at each token of the last answer, and the answer continued from another choice."""

from typing import TYPE_CHECKING

import numpy as np

from llamachat.dialogue.reuse import keep_same
from llamachat.errors import UsageError
from llamachat.terminal.columns import padded
from llamachat.terminal.commands.base import Command, doing, number_of

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

N_ALTERNATIVES = 4
MOST_ROWS = 20
AT_ONCE = 32
"""Words whose logits are in memory together: those of a long answer may be gigabytes."""


def _why(chat: "Chat", words: str) -> None:
    """Shows the alternatives, of all words or of one; with two numbers continues from another choice."""
    spelled = chat.spelled()
    if spelled is None or not spelled[1]:
        raise UsageError("there is no answer yet of which the alternatives could be shown")
    places = [number_of(one) for one in words.split()]
    if len(places) > 2 or not all(places):
        raise UsageError("/why, /why WORD, or /why WORD ALTERNATIVE: numbers from the list")
    ids = spelled[1]
    if places and not 1 <= places[0] <= len(ids):
        raise UsageError(f"the answer has the words 1 to {len(ids)}")
    best, shares = _alternatives(chat, *spelled)
    if len(places) == 2:
        if not 1 <= places[1] <= N_ALTERNATIVES:
            raise UsageError(f"there are the alternatives 1 to {N_ALTERNATIVES}")
        at = places[0] - 1
        chat.answer_otherwise(spelled[0], [*ids[:at], int(best[at, places[1] - 1])])
        return
    shown = [places[0] - 1] if places else _uncertain(ids, best, shares)
    rows = [f"{'word':>5}  {'':16} alternatives"]
    for at in shown:
        others = "  ".join(f"{n}:{_piece(chat, token)} {shares[at, n - 1]:.0%}" for n, token in enumerate(best[at], 1))
        rows.append(f"{at + 1:5}  {padded(_piece(chat, ids[at]), 16)} {others}")
    chat.say("\n".join(rows))
    chat.say("/why WORD ALTERNATIVE continues from another choice.")


def _alternatives(chat: "Chat", prompt: list[int], ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(token ids, probabilities), both [n_tokens, N_ALTERNATIVES], the likeliest first, at each word of the answer.

    Only what the context no longer holds of prompt and answer is evaluated again.
    """
    context = chat.responder.context
    keep_same(context, prompt[:-1])
    n_same = len(context.tokens)
    if len(prompt) + len(ids) > context.n_ctx:
        raise UsageError("the context has forgotten the beginning of this answer")
    if len(prompt) - 1 > n_same:
        context.eval(prompt[n_same:-1])
    said = [prompt[-1], *ids[:-1]]
    found = [_likeliest(context.eval(said[at : at + AT_ONCE], "all")) for at in range(0, len(said), AT_ONCE)]
    best, shares = zip(*found, strict=True)
    return np.concatenate(best), np.concatenate(shares)


def _likeliest(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(token ids, probabilities), both [n, N_ALTERNATIVES], of float32 [n, n_vocab]."""
    best = np.argpartition(-logits, N_ALTERNATIVES, axis=1)[:, :N_ALTERNATIVES]
    order = np.argsort(-np.take_along_axis(logits, best, 1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, 1)
    largest = logits.max(1, keepdims=True)
    total = np.exp(logits - largest).sum(1, keepdims=True)
    return best, np.exp(np.take_along_axis(logits, best, 1) - largest) / total


def _uncertain(ids: list[int], best: np.ndarray, shares: np.ndarray) -> list[int]:
    """The words of a long answer where the model was least sure, in order; all of a short one."""
    if len(ids) <= MOST_ROWS:
        return list(range(len(ids)))
    return sorted(np.argsort(shares[:, 0], kind="stable")[:MOST_ROWS].tolist())


def _piece(chat: "Chat", token: int) -> str:
    return repr(chat.tokenizer.piece_bytes(token, special=True).decode("utf-8", "replace"))


COMMANDS = (
    Command("/why", "[WORD [ALTERNATIVE]]", "what else it could have said; continue from another choice", doing(_why)),
)
