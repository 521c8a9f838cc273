"""Tools as a file describes them: see `dialogue.tools.definition`."""

from llamachat.dialogue.tools.definition import Tool, read_tools

__all__ = ["Tool", "read_tools"]
