"""The page of `llamachat show`: a model file for people, and the same for programs."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from llamachat.catalog.details import Details, LongArray
from llamachat.engine.memory import size_text
from llamachat.terminal.sanitize import clean, clean_line
from llamachat.terminal.table import aligned_lines, paragraph

_LONGEST = 300  # characters of a metadata value
_INDENT = "  "


def page_lines(details: Details, width: int | None) -> Iterator[str]:
    """The page's lines, without control bytes, wrapped to `width` columns (None: not at all)."""
    summary = details.summary
    yield clean_line(summary.name) or clean_line(details.path.name)
    for title, text in _facts(details):
        yield from paragraph(f"{title:13} {clean_line(text)}", width, _INDENT, _INDENT + " " * 14)
    yield ""
    yield "Tensors"
    rows = [[clean_line(kind.type), str(kind.count), size_text(kind.n_bytes)] for kind in details.tensors]
    yield from (_INDENT + line for line in aligned_lines(["type", "count", "size"], rows, [False, True, True]))
    yield ""
    yield "Metadata"
    for key, value in details.metadata.items():
        yield from paragraph(f"{clean_line(key)} = {value_text(value)}", width, _INDENT, _INDENT * 2)
    yield ""
    yield "Chat template" if details.chat_template else "No chat template"
    for line in clean(details.chat_template or "").splitlines():
        yield _INDENT + line


def _facts(details: Details) -> list[tuple[str, str]]:
    summary = details.summary
    fits = {True: "yes", False: "no", None: "unknown"}[details.fits]
    return [
        ("file", str(details.path)),
        ("size", size_text(details.n_bytes)),
        ("format", f"GGUF {details.version}"),
        ("architecture", summary.architecture or "not given"),
        ("type", summary.type or "no tensors"),
        ("parameters", count_text(summary.n_params)),
        ("context", f"{summary.n_ctx} tokens" if summary.n_ctx else "not given"),
        ("fits memory", fits),
    ]


def count_text(count: int) -> str:
    """A number of parameters for people: "134.5 million"."""
    for word, scale in (("billion", 10**9), ("million", 10**6)):
        if count >= scale:
            return f"{count / scale:.1f} {word}"
    return str(count)


def value_text(value: Any) -> str:
    """A value of the metadata on one line; strings in arrays in quotes; what is long is cut and says so."""
    if isinstance(value, LongArray):
        return f"[{value.length} {value.kind}: {', '.join(_quoted(item) for item in value.first)}, ...]"
    if isinstance(value, list):
        return f"[{', '.join(_quoted(item) for item in value)}]"
    return _cut(_scalar(value))


def _quoted(item: object) -> str:
    return f'"{_cut(clean_line(item), 60)}"' if isinstance(item, str) else _cut(_scalar(item), 60)


def _scalar(value: object) -> str:
    """A number in as many digits as a float32 holds, anything else as it is."""
    return f"{value:.7g}" if isinstance(value, float) else clean_line(str(value))


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def record(details: Details) -> dict[str, Any]:
    """The page as values for JSON, nothing cleaned away: JSON escapes control characters itself."""
    summary = asdict(details.summary)
    return {
        "name": summary.pop("name"),
        "path": str(details.path),
        "n_bytes": details.n_bytes,
        "version": details.version,
        **summary,
        "fits": details.fits,
        "tensors": [asdict(kind) for kind in details.tensors],
        "metadata": {key: _json_value(value) for key, value in details.metadata.items()},
        "chat_template": details.chat_template,
    }


def _json_value(value: Any) -> Any:
    """The value as JSON knows it: no NaN or infinity, a long array as its length and first values."""
    if isinstance(value, LongArray):
        return {"length": value.length, "first": [_json_value(item) for item in value.first]}
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
