"""The same text in the tokens that a context holds."""

import random

import pytest

from llamachat.dialogue.reuse import as_held, forget_between, keep_same

PIECES = [b"", b"", b"a", b"b", b"c", b"ab", b"bc", b"abc", b"ca", b"\xc3", b"\xb8", b"\xc3\xb8"]
END, BEGIN, A, B, C, AB, BC, ABC, CA, BYTE1, BYTE2, OE = range(12)


def text(tokens):
    return [PIECES[token] or token for token in tokens]


def spelled(tokens):
    """The text, control tokens being told from bytes."""
    return [byte for piece in text(tokens) for byte in (piece if isinstance(piece, bytes) else [-1 - piece])]


@pytest.mark.parametrize(
    ("tokens", "held", "expected"),
    [
        pytest.param([A, B, END, C], [A, B], [A, B, END, C], id="it goes on"),
        pytest.param([BEGIN, AB, END, C], [BEGIN, A, B], [BEGIN, A, B, END, C], id="another spelling"),
        pytest.param([OE, AB, END, C], [BYTE1, BYTE2, AB], [BYTE1, BYTE2, AB, END, C], id="the same again behind it"),
        pytest.param([ABC, A, C, END], [AB, CA, B], [AB, CA, C, END], id="another text later"),
        pytest.param([ABC, END], [A, B, B], [ABC, END], id="another text within a token"),
        pytest.param([AB, BEGIN, C], [A, B, END, C], [A, B, BEGIN, C], id="another control token"),
        pytest.param([AB, END], [A, END, B], [AB, END], id="a control token in between"),
        pytest.param([A, BC], [AB, C, C, C], [AB, C], id="more is held"),
        pytest.param([ABC, C], [A, B], [ABC, C], id="less is held than a token"),
        pytest.param([], [A], [], id="nothing is wanted"),
        pytest.param([A], [], [A], id="nothing is held"),
    ],
)
def test_what_is_held_stays_up_to_the_last_common_end_of_a_token(tokens, held, expected):
    assert as_held(tokens, held, PIECES.__getitem__) == expected


def drawn(draw, said):
    """Any spelling of the bytes."""
    tokens = []
    while said:
        tokens.append(draw.choice([n for n, piece in enumerate(PIECES) if piece and said.startswith(piece)]))
        said = said[len(PIECES[tokens[-1]]) :]
    return tokens


def test_it_is_always_the_same_text_and_all_of_a_common_one_is_held():
    draw = random.Random(1)
    n_better = 0
    for _ in range(1000):
        same, rest, other = (bytes(draw.choices(b"abc", k=draw.randrange(9))) for _ in range(3))
        tokens = [BEGIN, *drawn(draw, same), END, *drawn(draw, rest)]
        held = [BEGIN, *drawn(draw, same), END, *drawn(draw, other)]
        found = as_held(tokens, held, PIECES.__getitem__)
        assert spelled(found) == spelled(tokens)
        n_common = held.index(END) + 1
        assert found[:n_common] == held[:n_common]
        n_better += found != tokens
    assert n_better > 300


class Held:
    """A context that only remembers."""

    def __init__(self, tokens, self_extend=None, n_reusable=0):
        self.tokens, self.self_extend, self.n_reusable = list(tokens), self_extend, n_reusable

    @property
    def can_shift(self):
        return self.self_extend is None

    def reachable(self, n_past):
        return n_past

    def shift_refusal(self, first, last):
        return ""

    def rewind(self, n_past):
        del self.tokens[n_past:]
        return n_past

    def remove(self, first, last):
        del self.tokens[first:last]


@pytest.mark.parametrize(
    ("held", "left"),
    [
        pytest.param([BEGIN, A, END, BEGIN, B, END, BEGIN], [BEGIN, B, END, BEGIN], id="as it is"),
        pytest.param([BEGIN, A, END, BEGIN, B, END], [BEGIN, B, END], id="less is held"),
        pytest.param([BEGIN, A, END, BEGIN, B, END, C, C], [BEGIN, B, END], id="something else behind"),
        pytest.param([BEGIN, A, END], [BEGIN, A, END], id="nothing that stays"),
        pytest.param([BEGIN], [BEGIN], id="not even that"),
        pytest.param([C, A, END, BEGIN, B], [C, A, END, BEGIN, B], id="another talk"),
    ],
)
def test_what_is_forgotten_is_taken_out_and_the_rest_moves_down(held, left):
    context = Held(held)
    before, after = [BEGIN, A, END, BEGIN, B, END, BEGIN, C], [BEGIN, B, END, BEGIN, C]
    forget_between(context, before, after, PIECES.__getitem__)
    assert context.tokens == left


def test_what_is_forgotten_may_be_spelled_otherwise():
    before, after = [BEGIN, ABC, END, BEGIN, AB, END, C], [BEGIN, AB, END, C]
    context = Held([BEGIN, AB, C, END, BEGIN, A, B, END])
    forget_between(context, before, after, PIECES.__getitem__)
    assert context.tokens == [BEGIN, A, B, END]
    across = Held([BEGIN, ABC, END, BEGIN, AB, END])  # a token that reaches into what stays
    forget_between(across, [BEGIN, A, BC, END], [BEGIN, BC, END], PIECES.__getitem__)
    assert across.tokens == [BEGIN, ABC, END, BEGIN, AB, END]


def test_a_context_that_cannot_forget_is_left_as_it_is():
    before, after = [BEGIN, A, END, BEGIN, B, END], [BEGIN, B, END]
    grouped = Held(before, self_extend=(2, 64))
    forget_between(grouped, before, after, PIECES.__getitem__)
    keep_same(grouped, [*before, C])
    assert grouped.tokens == before
    parted = Held(before, self_extend=(2, 64), n_reusable=1)
    keep_same(parted, [*before[:3], C])
    assert parted.tokens == before[:1]
    two_places = Held(before)
    forget_between(two_places, before, [BEGIN, B], PIECES.__getitem__)
    assert two_places.tokens == before
    keep_same(two_places, [BEGIN, A, C])
    assert two_places.tokens == [BEGIN, A]


class Ringed(Held):
    """One that can go back a little only, and refuses some shifts."""

    def __init__(self, tokens, nearest, refusal=""):
        super().__init__(tokens)
        self.nearest, self.refusal = nearest, refusal

    def reachable(self, n_past):
        return n_past if n_past >= self.nearest else 0

    def shift_refusal(self, first, last):
        return self.refusal


def test_a_context_that_cannot_go_back_or_shift_here_is_left_for_evaluating_again():
    before, after = [BEGIN, A, END, BEGIN, B, END, BEGIN, C], [BEGIN, B, END, BEGIN, C]
    held = [BEGIN, A, END, BEGIN, B, END, C, C]
    far = Ringed(held, nearest=7)
    forget_between(far, before, after, PIECES.__getitem__)
    assert far.tokens == held
    refused = Ringed(held, 3, "not here")
    forget_between(refused, before, after, PIECES.__getitem__)
    assert refused.tokens == held[:6]
    near = Ringed(held, 3)
    forget_between(near, before, after, PIECES.__getitem__)
    assert near.tokens == [BEGIN, B, END]
