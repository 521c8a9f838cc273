"""Encoding a rendering: only the template's own special texts become special tokens."""

import re

import pytest

from llamachat.templates.encode import encode_parts

SPECIAL = ("<s>", "<end>", "<end>!")
CALLS: list[tuple[str, bool]] = []


def encode(text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
    """One id per character, 1000 + n for special texts; it notes how it was called."""
    assert not add_special
    CALLS.append((text, parse_special))
    pieces = re.split(f"({'|'.join(sorted(SPECIAL, key=len, reverse=True))})", text) if parse_special else [text]
    ids: list[int] = []
    for piece in pieces:
        ids += [1000 + SPECIAL.index(piece)] if parse_special and piece in SPECIAL else [ord(one) for one in piece]
    return ids


@pytest.mark.parametrize(
    ("parts", "calls"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([("<s>u:", True), ("Hi", False), ("<end>", True)], [("<s>u:Hi<end>", True)], id="harmless: whole"),
        pytest.param([("Hi <e nd>", False)], [("Hi <e nd>", True)], id="no special text anywhere: whole"),
        pytest.param([("<s>u:", True), ("a<end>b", False), ("<end>\n", True)],
                     [("<s>", True), ("u:a<end>b", False), ("<end>", True), ("\n", False)], id="typed: cut"),
        pytest.param([("<s>", True), ("<end", False), (">", True)], [("<s>", True), ("<end>", False)],
                     id="half typed, half the template's"),
        pytest.param([("<en", False), ("d>", False), ("<end>", True)], [("<end>", False), ("<end>", True)],
                     id="typed in two texts"),
        pytest.param([("<end>", True), ("!", False)], [("<end>!", False)],
                     id="a longer special text that a typed character would complete"),
        pytest.param([("<end><", False), ("<end>", True)], [("<end><", False), ("<end>", True)], id="right before"),
    ],
)  # fmt: skip
def test_a_rendering_is_encoded_whole_or_cut_at_the_templates_own_special_texts(
    parts: list[tuple[str, bool]], calls: list[tuple[str, bool]]
) -> None:
    CALLS.clear()
    ids = encode_parts(parts, encode, SPECIAL)
    assert calls == CALLS
    typed = [text for text, own in parts if not own]
    assert len(ids) >= len("".join(typed))


def test_a_typed_end_of_turn_stays_text() -> None:
    assert encode_parts([("<s>", True), ("<end>", False), ("<end>", True)], encode, SPECIAL) == [
        1000,
        *map(ord, "<end>"),
        1001,
    ]
