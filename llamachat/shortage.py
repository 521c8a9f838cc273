"""Whether an error means that memory has run out, whatever raised it and whatever it was turned into on its way."""

import errno
import re

_SAID = re.compile(
    r"cannot allocate memory|can't start new thread|out of memory|memory allocation|could not find/load shared object",
    re.IGNORECASE,
)
"""What the loader of libraries, Python's threads and libraries in C and Rust say."""


def is_shortage(error: BaseException | None) -> bool:
    """Whether the error, or one that it came from, is of memory."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if isinstance(error, OSError | RuntimeError | ImportError) and _SAID.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
