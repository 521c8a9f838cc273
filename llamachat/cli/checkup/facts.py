"""One thing that is known: for programs by name and value, for people in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fact:
    """A fact. value: as JSON has it; said: in words, with units; problem: whether it should not be so."""

    name: str
    value: Any
    said: str
    problem: bool = False


Report = Mapping[str, Sequence[Fact]]
"""Facts under their headings."""


def as_json(report: Report) -> dict[str, dict[str, Any]]:
    """The report for programs; "problems" lists the sentences of what should not be so."""
    sections = {heading: {fact.name: fact.value for fact in facts} for heading, facts in report.items()}
    problems = [f"{fact.name}: {fact.said}" for facts in report.values() for fact in facts if fact.problem]
    return {**sections, "problems": problems}  # type: ignore[dict-item]
