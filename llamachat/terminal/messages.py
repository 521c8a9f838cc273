"""Messages that are shown again, in a few lines."""

MOST_LINES = 10
"""Lines of a message that are shown again."""


def quoted(text: str) -> str:
    """A person's message as it is shown again: the beginning of a long one."""
    lines = text.splitlines() or [""]
    more = len(lines) - MOST_LINES
    shown = [f"> {line}" for line in (lines[:MOST_LINES] if more > 1 else lines)]
    return "\n".join([*shown, f"> ... ({more} more lines)"] if more > 1 else shown)


def shown_before(text: str) -> int:
    """How many characters of an answer need not be shown again: it is shown from its last paragraph on, or whole."""
    return text.rfind("\n\n") + 2 if "\n\n" in text and "```" not in text and "~~~" not in text else 0
