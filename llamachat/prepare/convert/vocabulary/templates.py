"""Chat templates: in tokenizer_config.json, chat_template.jinja (newer), or chat_template.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamachat.prepare.convert.config import read_json


def chat_templates(folder: Path, settings: Mapping[str, Any]) -> dict[str, object]:
    """`tokenizer.chat_template` and those with names."""
    template: Any = settings.get("chat_template")
    named: dict[str, str] = {}
    if (folder / "chat_template.jinja").is_file():
        template = (folder / "chat_template.jinja").read_text("utf-8")
        for path in sorted((folder / "additional_chat_templates").glob("*.jinja")):
            named[path.stem] = path.read_text("utf-8")
    elif template is None and (folder / "chat_template.json").is_file():
        template = read_json(folder / "chat_template.json").get("chat_template")
    if isinstance(template, list):
        entries = [one for one in template if isinstance(one, dict)]
        named = {str(one.get("name")): str(one.get("template")) for one in entries}
        template = named.pop("default", None)
    found: dict[str, object] = {}
    if isinstance(template, str) and template:
        found["tokenizer.chat_template"] = template
    for name, text in named.items():
        found[f"tokenizer.chat_template.{name}"] = text
    if named:
        found["tokenizer.chat_templates"] = sorted(named)
    return found
