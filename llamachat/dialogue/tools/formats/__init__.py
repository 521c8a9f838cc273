"""The formats in which models write calls, one file for each family."""

from llamachat.dialogue.tools.formats import gemma, json_values, named, python_calls, tagged, whole
from llamachat.dialogue.tools.formats.base import CallFormat

FORMATS: tuple[CallFormat, ...] = (
    *named.FORMATS,
    *tagged.FORMATS,
    *gemma.FORMATS,
    *python_calls.FORMATS,
    *json_values.FORMATS,
    *whole.FORMATS,
)

__all__ = ["FORMATS", "CallFormat"]
