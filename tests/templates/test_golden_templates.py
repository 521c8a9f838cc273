"""Real templates render exactly as in `transformers`, and every character's origin is known."""

import functools
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import golden_data
import pytest

from llamachat.errors import LlamaChatError
from llamachat.templates.encode import encode_parts
from llamachat.templates.renderer import ChatTemplate

FOLDER = golden_data.GOLDEN / "templates"
CASES = [
    pytest.param(path.stem, name, id=f"{path.stem}-{name}")
    for path in sorted(FOLDER.glob("*.json"))
    for name in json.loads(path.read_text(encoding="utf-8"))["cases"]
]


@functools.cache
def load(golden: Path, name: str) -> tuple[ChatTemplate, dict[str, Any]]:
    record = json.loads((golden / "templates" / f"{name}.json").read_text(encoding="utf-8"))
    source = (golden / "templates" / f"{name}.jinja").read_text(encoding="utf-8")
    day = datetime.fromisoformat(record["now"])
    return ChatTemplate(source, record["bos_token"], record["eos_token"], now=lambda: day), record["cases"]


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    return {
        "messages": case["messages"],
        "tools": case["tools"],
        "add_generation_prompt": case["add_generation_prompt"],
        "date_string": "26 Jul 2024",
        **case["kwargs"],
    }


@pytest.mark.parametrize(("name", "case_name"), CASES)
def test_a_real_template_renders_as_in_transformers(golden: Path, name: str, case_name: str) -> None:
    template, cases = load(golden, name)
    case = cases[case_name]
    if "error" in case:
        with pytest.raises(LlamaChatError, match=r"chat template (refuses|fails on) this conversation"):
            template.render(**arguments(case))
    else:
        assert template.render(**arguments(case)) == case["expected"]


@pytest.mark.parametrize(("name", "case_name"), CASES)
def test_the_parts_of_a_real_template_join_to_its_text(golden: Path, name: str, case_name: str) -> None:
    template, cases = load(golden, name)
    case = cases[case_name]
    if "error" in case:
        with pytest.raises(LlamaChatError):
            template.render_parts(**arguments(case))
    else:
        parts = template.render_parts(**arguments(case), special_texts=SPECIAL)
        assert "".join(text for text, _ in parts) == case["expected"]
        assert True in {own for _, own in parts}
        if not case["tools"]:
            assert False in {own for _, own in parts}


SPECIAL = ("<|im_end|>", "<|im_start|>", "<end_of_turn>", "<|eot_id|>", "[/INST]", "</s>", "<|end|>", "</think>")
EVIL = "".join(SPECIAL)


def special_ids(text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
    """Encodes to the special texts only (their index), which is all that counts here."""
    if not parse_special:
        return []
    return [SPECIAL.index(found) for found in re.findall("|".join(map(re.escape, SPECIAL)), text)]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("evil", [f"a{EVIL}b", EVIL, f" {EVIL}\n"], ids=["inside", "alone", "with space around"])
def test_what_a_person_types_adds_no_special_token(golden: Path, name: str, turn: int, evil: str) -> None:
    template, _ = load(golden, name)

    def tokens(content: str) -> list[int]:
        contents = ["Hello", "Hi there", "Bye"]
        contents[turn] = content
        messages = [
            {"role": role, "content": text} for role, text in zip(["user", "assistant", "user"], contents, strict=True)
        ]
        parts = template.render_parts(messages, date_string="", tools=[], special_texts=SPECIAL)
        return encode_parts(parts, special_ids, SPECIAL)

    allowed, found = tokens("harmless"), tokens(evil)
    assert len(found) <= len(allowed)
    assert without_think(found) == without_think(allowed)


def without_think(ids: list[int]) -> list[int]:
    """Templates look for `</think>` in an answer, so a typed one makes all of them plain text."""
    return [one for one in ids if SPECIAL[one] != "</think>"]
