"""The words of a command line that mean the same behind every command: --debug, and --color with and without a value.

What follows an option that takes a value is that value, whatever it looks like; behind `--` there are no options.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any, get_args

from llamachat.errors import UsageError
from llamachat.terminal.colour import When

COLOUR, DEBUG = "--color", "--debug"
WHEN = get_args(When)


def dashed(name: str) -> str:
    """`repeat_penalty` as `repeat-penalty`: llama.cpp takes both."""
    return name.replace("_", "-")


def spelled_out(words: Sequence[str], command: Any) -> Iterator[str]:
    """The words without --debug and with a value for every --color: alone it means auto, --no-color is `--color=never`.

    They stand behind the name of the command; a command that has commands is meant by those before a name only.
    Raises UsageError for another value of --color.
    """
    names = getattr(command, "commands", ())
    for (word, following), is_option in zip(pairwise([*words, ""]), option_words(words, command), strict=True):
        if is_option and word == "--no-color":
            yield f"{COLOUR}=never"
        elif is_option and word == COLOUR and following not in WHEN:
            if following[:1] not in ("", "-") and following not in names:
                raise UsageError(f"{COLOUR}: give auto, always or never, not {following!r}")
            yield f"{COLOUR}=auto"
        elif not is_option or word != DEBUG:
            yield word


def asks_for_debug(words: Sequence[str], program: Any) -> bool:
    """Whether --debug is among the words, and is not a value."""
    if any(word == DEBUG and meant for word, meant in zip(words, option_words(words, program), strict=True)):
        return True
    at = next((index for index, word in enumerate(words) if word in program.commands), len(words))
    own = words[at + 1 :]
    command = program.commands[words[at]] if own else program
    return any(word == DEBUG and meant for word, meant in zip(own, option_words(own, command), strict=True))


def asks_for(option: str, words: Sequence[str], command: Any) -> bool:
    """Whether an option is among the words, and is not a value."""
    flags = option_words(words, command)
    return any(word == option and meant for word, meant in zip(words, flags, strict=True))


def check_given_once(words: Sequence[str], command: Any) -> None:
    """Raises UsageError where an option that takes one value is given twice: one of the values would be lost.

    Of numbers the last one counts, so that a shell's alias can be overridden.
    """
    options = [one for one in command.params if one.param_type_name == "option" and not (one.is_flag or one.multiple)]
    single = [one for one in options if not one.type.name.startswith(("int", "float"))]
    names = {name: one.name for one in single for name in one.opts if name != COLOUR}
    seen: dict[str, str] = {}
    for word, is_option in zip(words, option_words(words, command), strict=True):
        name = _option_of(word, names) if is_option else ""
        if name and names[name] in seen:
            before = seen[names[name]]
            raise UsageError(f"{name} is given twice" + (f" (as {before}, too)" if before != name else ""))
        if name:
            seen[names[name]] = name


def _option_of(word: str, names: Collection[str]) -> str:
    """The option's name in a word, which may have its value, or other letters, with it; "" for none of `names`."""
    name = word.partition("=")[0]
    name = dashed(name) if word.startswith("--") else word
    if name in names or name.startswith("--"):
        return name if name in names else ""
    return next((f"-{letter}" for letter in word[1:] if f"-{letter}" in names), "")


def option_words(words: Sequence[str], command: Any, also: Collection[str] = ()) -> Iterator[bool]:
    """Of each word whether it is an option of the command, and no value; also: more options that take a value."""
    options = [one for one in command.params if one.param_type_name == "option"]
    names = {name for one in options for name in (*one.opts, *one.secondary_opts)} | set(also)
    valued = {name for one in options if not one.is_flag for name in one.opts if name != COLOUR} | set(also)
    waiting = ended = False
    for before, word in pairwise(["", *words]):
        is_value = waiting or (before == COLOUR and word in WHEN)
        ended = ended or (not is_value and (word == "--" or (hasattr(command, "commands") and word[:1] != "-")))
        yield word.startswith("-") and not (is_value or ended)
        waiting = not (is_value or ended) and _waits(word, names, valued)


def _waits(word: str, names: set[str], valued: set[str]) -> bool:
    """Whether an option's value is the next word. Letters may stand together: `-qp TEXT`."""
    name = dashed(word) if word.startswith("--") else word
    if name in names or name.startswith("--"):
        return name in valued
    taking = [place for place, letter in enumerate(word) if place and f"-{letter}" in valued]
    return word.startswith("-") and taking[:1] == [len(word) - 1]
