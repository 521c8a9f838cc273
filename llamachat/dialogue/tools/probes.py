"""Calls that are tried on a chat template before a model may make any."""

from dataclasses import dataclass
from typing import Any

from llamachat.dialogue.tools.call import Call
from llamachat.dialogue.tools.definition import Tool

ASKED = {"role": "user", "content": "How is the weather?"}
SAMPLE_ID = "abcde1234"
RESULT = "a7-result-9z"


@dataclass(frozen=True)
class Probe:
    """A tool and a call of it."""

    tool: Tool
    call: Call


def _probe(arguments: dict[str, Any], **schemas: dict[str, Any]) -> Probe:
    described = {name: {"description": f"The {name}.", **schema} for name, schema in schemas.items()}
    parameters = {"type": "object", "properties": described, "required": ["place"], "additionalProperties": False}
    return Probe(Tool("get_weather", "The weather of a place.", parameters), Call("get_weather", arguments))


RICH = _probe(
    {
        "place": 'Köln "Süd" 1/2',
        "days": 3,
        "exact": True,
        "spots": ["a b", "ç"],
        "near": {"name": "Rhein", "km": 2.5},
    },
    place={"type": "string"},
    days={"type": "integer"},
    exact={"type": "boolean"},
    spots={"type": "array", "items": {"type": "string"}},
    near={
        "type": "object",
        "properties": {"name": {"type": "string"}, "km": {"type": "number"}},
        "additionalProperties": False,
    },
)
PLAIN = _probe({"place": "Köln", "days": 3}, place={"type": "string"}, days={"type": "integer"})
PROBES = (RICH, PLAIN)
