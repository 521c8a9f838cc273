"""Which tokens have a role, and which of them stand at the ends of every text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llamachat.engine.tokenizers.vocabulary import PREFIX
from llamachat.prepare.convert.config import Config

ROLES: Final = {
    "bos": "bos",
    "eos": "eos",
    "unk": "unknown",
    "sep": "seperator",  # as GGUF spells it
    "pad": "padding",
    "cls": "cls",
    "mask": "mask",
}
"""{the word of Hugging Face: the word of GGUF}."""

FAMILIES_WITH_ENDS: Final = ("RobertaProcessing", "BertProcessing")


def special_keys(
    settings: Mapping[str, Any], config: Config, description: Mapping[str, Any] | None, ids: Mapping[str, int]
) -> dict[str, object]:
    """Ids of the roles, and whether BOS and EOS are added. ids: {token text: number}."""
    texts = {role: _text(settings.get(f"{role}_token")) for role in ROLES}
    texts["bos"], texts["eos"] = texts["bos"] or texts["cls"], texts["eos"] or texts["sep"]
    first, last = _ends((description or {}).get("post_processor"))
    texts["bos"] = texts["bos"] or first
    if last and last != texts["eos"]:
        texts["eos"] = last
    found: dict[str, object] = {}
    for role, word in ROLES.items():
        number = ids.get(texts[role] or "", config.first((f"{role}_token_id",)))
        number = number[0] if isinstance(number, list) and number else number
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < len(ids):
            found[f"{PREFIX}{word}_token_id"] = number
    return found | _added(settings, description, first, last)


def _text(entry: object) -> str:
    """The text of a special token, which is one or an object with one."""
    if isinstance(entry, Mapping):
        entry = entry.get("content")
    return entry if isinstance(entry, str) else ""


def _processors(processor: object) -> list[Mapping[str, Any]]:
    if not isinstance(processor, Mapping):
        return []
    if processor.get("type") == "Sequence":
        return [one for one in processor.get("processors", []) if isinstance(one, Mapping)]
    return [processor]


def _ends(post_processor: object) -> tuple[str, str]:
    """The texts that are put before and behind every text, "" for none."""
    first = last = ""
    for processor in _processors(post_processor):
        if processor.get("type") in FAMILIES_WITH_ENDS:
            first, last = processor["cls"][0], processor["sep"][0]
        elif processor.get("type") == "TemplateProcessing":
            single = processor.get("single", [])
            special = [_text({"content": one.get("SpecialToken", {}).get("id")}) for one in single]
            if len(special) > 1:
                first, last = special[0] or first, special[-1] or last
    return first, last


def _added(
    settings: Mapping[str, Any], description: Mapping[str, Any] | None, first: str, last: str
) -> dict[str, object]:
    """Whether BOS and EOS are added: as the post-processor does it, else as the settings say."""
    found: dict[str, object] = {}
    processors = _processors((description or {}).get("post_processor"))
    for role, text in (("bos", first), ("eos", last)):
        said = settings.get(f"add_{role}_token")
        if processors:
            found[f"{PREFIX}add_{role}_token"] = bool(text)
        elif isinstance(said, bool):
            found[f"{PREFIX}add_{role}_token"] = said
        elif description is not None and description.get("model", {}).get("type") == "BPE" and role == "bos":
            found[f"{PREFIX}add_{role}_token"] = False
    return found
