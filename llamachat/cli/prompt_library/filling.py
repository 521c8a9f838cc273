"""The text that becomes of a prompt with an input and variables."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property, partial

from llamachat.cli.prompt_library.reading import INPUT, LibraryPrompt
from llamachat.errors import UsageError
from llamachat.templates.text import TextTemplate, Worded


class Filling:
    """A prompt and what its variables are. given: from the command line, before the defaults.

    Raises UsageError for a variable that the prompt does not have, and for those that it needs and nobody gave.
    """

    def __init__(self, prompt: LibraryPrompt, given: Mapping[str, str]) -> None:
        self._prompt = prompt
        self._body = TextTemplate(prompt.body, prompt.path)
        line_of = partial(prompt.settings.line_within, "system")
        self._system = None if prompt.system is None else TextTemplate(prompt.system, prompt.path, line_of)
        asked = self._asked_of_body | (self._system.names if self._system is not None else frozenset())
        self._check(given, sorted(asked | prompt.variables.keys()))
        self._given = dict(given)
        self._defaults = {name: one.default for name, one in prompt.variables.items() if one.default is not None}
        if missing := sorted(asked - {INPUT} - self._defaults.keys() - self._given.keys()):
            raise UsageError(f"the prompt {prompt.name} needs {_listed(missing)}: give --var {missing[0]}=VALUE")

    def worded(self, data: str) -> Worded:
        """The prompt's text with the input in its place, or behind it after a blank line where it has none.

        Raises UsageError where the prompt needs an input and there is none.
        """
        needs_input = INPUT in self._asked_of_body
        if needs_input and not data:
            name = self._prompt.name
            raise UsageError(f"the prompt {name} needs an input: pipe a text in, or give -f FILE or -p TEXT")
        made = self._body.worded(self._defaults, {**self._given, INPUT: data})
        if needs_input or not data:
            return made
        return Worded([*made.parts, ("\n\n" if made.parts else "", True), (data, False)])

    def system(self, given: str | None, data: str | None) -> str | None:
        """The system prompt: `given`, rendered if it is the prompt's own. data: None for several inputs.

        Raises UsageError where it needs an input and there is not exactly one.
        """
        if self._system is None or given != self._prompt.system:
            return given
        if INPUT in self._system.names and not data:
            what = "an input" if data is not None else "one input, which --prompts does not have"
            raise UsageError(f"the system prompt of {self._prompt.name} needs {what}")
        return self._system.worded(self._defaults, {**self._given, INPUT: data or ""}).text

    @cached_property
    def _asked_of_body(self) -> frozenset[str]:
        return self._body.names

    def _check(self, given: Mapping[str, str], known: Sequence[str]) -> None:
        for name in given:
            if name not in known or name == INPUT:
                close = get_close_matches(name, known, 1)
                names = _listed([one for one in known if one != INPUT])
                hint = f"did you mean {close[0]}?" if close and close[0] != INPUT else f"it has {names or 'none'}"
                raise UsageError(f"--var {name}: the prompt {self._prompt.name} has no such variable; {hint}")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
