"""Filling in the middle: what stands before and after a gap, and other files, as the tokens that code models know.

The order is that of Bavarian et al. 2022 (arXiv 2207.14255): prefix, suffix, middle. Mistral's models take the suffix
first and have no token for the middle. Files follow one another as in Qwen2.5-Coder and StarCoder 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamachat.engine.tokenizers.names import OPEN_SEPARATOR
from llamachat.engine.tokenizers.tokenizer import Tokenizer
from llamachat.errors import UsageError

_SUFFIX_FIRST = ("[PREFIX]",)
_MOST_FOR_ANSWER = 256
"""Tokens of the context that are left free, or a quarter of a small one."""
_LEAST_REPEATED = 4
"""Letters and digits of a line that is recognised: `}` or `fi` alone may well be part of what is missing."""


@dataclass(frozen=True)
class Gap:
    """A place in a text that is filled in. name: its file; files: names and texts of others that belong to it."""

    prefix: str
    suffix: str
    files: Sequence[tuple[str, str]] = ()
    name: str = ""
    project: str = ""

    @property
    def text(self) -> str:
        """What stands before the gap."""
        return self.prefix

    @property
    def stop(self) -> tuple[str, ...]:
        """Where the filling ends at the latest: at the next file, or where it repeats the first whole line with words.

        Models that were tuned for chats do not end by themselves there.
        """
        lines = self.suffix.split("\n")[1:]
        line = next((line for line in lines if line.strip()), "")
        repeated = (f"\n{line}",) if sum(map(str.isalnum, line)) >= _LEAST_REPEATED else ()
        return (OPEN_SEPARATOR, *repeated)


@dataclass(frozen=True)
class Filled:
    """A prompt for a gap. n_left_out: tokens of the texts around it, and of other files, that the context has no room
    for.
    """

    ids: list[int]
    n_left_out: int


def fill_in(tokenizer: Tokenizer, gap: Gap, n_ctx: int | None = None) -> Filled:
    """The prompt for a gap, cut to a context of n_ctx tokens: far from the gap first, other files before that.

    Raises UsageError for a model that knows no such prompts.
    """
    known = tokenizer.fill_in
    if known.prefix is None or known.suffix is None:
        raise UsageError(
            "this model cannot fill in the middle: its vocabulary has no tokens for that; take a model for code, "
            "such as qwen2.5-coder",
            settings=("infill",),
        )
    suffix_first = tokenizer.piece(known.prefix) in _SUFFIX_FIRST
    if known.middle is None and not suffix_first:
        raise UsageError(
            "this model cannot fill in the middle: its vocabulary has no token for the middle", settings=("infill",)
        )
    others = _files(tokenizer, gap)
    before = tokenizer.encode(gap.prefix, add_special=False)
    after = tokenizer.encode(gap.suffix, add_special=False, continues=True)
    room = None if n_ctx is None else max(0, n_ctx - min(_MOST_FOR_ANSWER, n_ctx // 4) - 4)
    files, first, second = _cut(others, before, after, room)
    if suffix_first:
        marked = [known.suffix, *second, known.prefix, *first]
    else:
        marked = [known.prefix, *first, known.suffix, *second, known.middle or 0]
    begin = [tokenizer.bos] if tokenizer.add_bos and tokenizer.bos is not None else []
    ids = [*begin, *(one for part in files for one in part), *marked]
    whole = len(before) + len(after) + sum(map(len, others))
    return Filled(ids, whole - len(first) - len(second) - sum(map(len, files)))


def _files(tokenizer: Tokenizer, gap: Gap) -> list[list[int]]:
    """The other files, and at last the name of the one with the gap; in parts that are left out as a whole."""
    if not gap.files:
        return []
    known, found = tokenizer.fill_in, []
    marks = known.file is not None
    if known.repository is not None and marks:
        found.append([known.repository, *tokenizer.encode(f"{gap.project or 'project'}\n", add_special=False)])
    for name, text in [*gap.files, (gap.name or "file", None)]:
        said = f"{name}\n" if text is None else f"{name}\n{text.rstrip()}\n"
        if known.file is not None:
            found.append([known.file, *tokenizer.encode(said, add_special=False)])
        elif text is not None:
            found.append(tokenizer.encode(f"{text.rstrip()}\n\n", add_special=False))
    return found


def _cut(
    files: list[list[int]], before: list[int], after: list[int], room: int | None
) -> tuple[list[list[int]], list[int], list[int]]:
    """What there is room for: the text beside the gap, three quarters of it before; then files, the last ones first."""
    if room is None:
        return files, before, after
    after = after[: max(room // 4, room - len(before))]
    before = before[max(0, len(before) - (room - len(after))) :]
    left = room - len(before) - len(after)
    taken: list[list[int]] = []
    for part in reversed(files):
        if len(part) > left:
            break
        taken.append(part)
        left -= len(part)
    return taken[::-1], before, after
