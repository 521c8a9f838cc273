"""What this program and the helper process say to one another: a line with a number of bytes, then those bytes."""

from typing import IO

LONGEST_FRAME = 400_000_000
OUT_OF_MEMORY = "The chat template was stopped: it needs more than 500 MB of memory"


def write_frame(stream: IO[bytes], content: bytes) -> None:
    """Write a frame. Raises OSError where nobody reads any more."""
    stream.write(b"%d\n" % len(content))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame; None at the end, and where what comes is none."""
    line = stream.readline(20)
    if not line.endswith(b"\n") or not line[:-1].isdigit() or int(line) > LONGEST_FRAME:
        return None
    content = stream.read(int(line))
    return content if len(content) == int(line) else None
