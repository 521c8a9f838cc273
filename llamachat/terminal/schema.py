"""The version of what is printed for programs: a field of each JSON object, counted up when one changes its meaning."""

from collections.abc import Mapping
from typing import Any

VERSION = 1
FIELD = "v"


def versioned(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the version in front."""
    return {FIELD: VERSION, **record}
