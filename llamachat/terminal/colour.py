"""Whether colour is welcome. This is the one place that decides: --color first, then the environment.

Where --color says nothing: NO_COLOR (https://no-color.org), CLICOLOR_FORCE (https://bixense.com/clicolors) and
FORCE_COLOR, each where it is not empty, then whether the stream is a terminal that is not dumb.
"""

import os
from typing import Literal

When = Literal["auto", "always", "never"]
DUMB = ("", "dumb", "unknown")
_chosen: When = "auto"


def choose_colour(when: When) -> None:
    """What --color says, for the rest of the process."""
    global _chosen
    _chosen = when


def wants_colour(stream_is_terminal: bool) -> bool:
    """Whether colour is welcome on a stream, which is a terminal or not."""
    if _chosen != "auto":
        return _chosen == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") not in ("", "0") for name in ("CLICOLOR_FORCE", "FORCE_COLOR")):
        return True
    return stream_is_terminal and os.environ.get("TERM", "dumb") not in DUMB
