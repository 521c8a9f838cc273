"""Which format a model's calls have: a call is rendered through its chat template and read back.

A template is a program, and what it says of calls can be seen in no other way. Where it writes a call that no format
reads, tools are refused: they would be called, and nothing would happen.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from llamachat.dialogue.thoughts import Markers, markers_of
from llamachat.dialogue.tools.call import Call
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats import FORMATS, CallFormat
from llamachat.dialogue.tools.probes import ASKED, PROBES, RESULT, SAMPLE_ID, Probe
from llamachat.dialogue.tools.reading import Reader
from llamachat.errors import LlamaChatError, UsageError
from llamachat.templates.renderer import ChatTemplate

Message = dict[str, Any]
OWN = "this model's chat template"


class TemplateRefused(UsageError):
    """A chat template whose calls are not known: `reason` follows the template's name in a sentence."""

    def __init__(self, reason: str, called: str = OWN) -> None:
        super().__init__(
            f"{called} {reason}; give another one: hermes fits models that know ChatML, and docs/tools.md names models "
            "for tools",
            settings=("chat_template", "tools"),
        )
        self.reason = reason


@dataclass(frozen=True)
class Dialect:
    """How a chat template has calls. written: it writes them itself; otherwise what the model has written stays in the
    text of the answer. inside: answers begin within a thought. plain: nested arguments do not come back as they were.

    as_text: it wants arguments as JSON text. no_content: it writes the calls only of answers that have no content.
    """

    form: CallFormat
    thought: Markers | None = None
    inside: bool = False
    written: bool = True
    plain: bool = False
    as_text: bool = False
    no_content: bool = False

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """What reads answers of this model."""
        return Reader(self.form, tools, self.thought)


@dataclass(frozen=True)
class _Way:
    """How calls are given to a template."""

    as_text: bool
    no_content: bool


_WAYS = tuple(_Way(as_text, no_content) for as_text in (False, True) for no_content in (False, True))


def dialect_of(template: str, tools: Sequence[Tool], called: str = OWN) -> Dialect:
    """How a chat template, which messages call `called`, has calls of these tools. Raises UsageError, with the reason,
    where that is not known.
    """
    try:
        dialect = template_dialect(template)
    except TemplateRefused as error:
        raise TemplateRefused(error.reason, called) from error
    renderer = ChatTemplate(template)
    for tool in tools if dialect.written else ():
        call = Call(tool.name, {})
        try:
            written = _written(renderer, dialect, Probe(tool, call), tools)
        except LlamaChatError as error:
            raise TemplateRefused(f"cannot write a call of {tool.name} ({error})", called) from error
        read = dialect.reader(tools).read(written or "").calls
        if [one.name for one in read] != [tool.name]:
            said = f"the tool {tool.name!r} does not come back from {called}; rename it"
            raise UsageError(said, settings=("tools",))
    return dialect


def with_calls(message: Message, template: str) -> Message:
    """A message with calls as a chat template wants it; as it is where that is not known."""
    try:
        dialect = template_dialect(template)
    except LlamaChatError:
        return message
    return _told(message, dialect.as_text, dialect.no_content)


@lru_cache(maxsize=8)
def template_dialect(source: str) -> Dialect:
    """How a chat template has calls. Raises TemplateRefused, with the reason, where that is not known."""
    if "tools" not in source:
        raise TemplateRefused("knows of no tools")
    template, unknown, failure, silent = ChatTemplate(source), "", "", False
    for probe in PROBES:
        for way in _WAYS:
            try:
                written = _written(template, way, probe)
            except LlamaChatError as error:
                failure = failure or str(error)
                continue
            if written is None:
                silent = True
                continue
            for dialect in _dialects(template, way, plain=probe is not PROBES[0]):
                if dialect.reader([probe.tool]).read(written).calls == (probe.call,):
                    return _with_results(template, dialect, probe)
            unknown = unknown or written
    if unknown:
        raise TemplateRefused(f"writes calls in a way that is not known here ({unknown.strip()!r:.90})")
    if failure and not silent:
        raise TemplateRefused(f"cannot write a call of a tool ({failure.rstrip('.')})")
    return _by_marks(template)


def _by_marks(template: ChatTemplate) -> Dialect:
    """For a template that shows answers as they were written: the format that it seems to describe."""
    known = (one for one in _dialects(template, _WAYS[0], plain=False) if one.form.stands_in(template.source))
    dialect = next(known, None)
    if dialect is None:
        raise TemplateRefused("writes no calls and does not say how a model writes them")
    return _with_results(template, replace(dialect, written=False), PROBES[-1])


def _with_results(template: ChatTemplate, dialect: Dialect, probe: Probe) -> Dialect:
    """The dialect, where the template shows what calls gave. Raises UsageError where it does not."""
    result = {"role": "tool", "name": probe.call.name, "tool_call_id": SAMPLE_ID, "content": RESULT}
    called = _told(_calling(probe.call), dialect.as_text, dialect.no_content)
    try:
        shown = template.render([ASKED, called, result], tools=[probe.tool.described])
    except LlamaChatError as error:
        raise TemplateRefused(f"refuses results of tools ({str(error).rstrip('.')})") from error
    if RESULT not in shown:
        raise TemplateRefused("does not show results of tools")
    return dialect


def _dialects(template: ChatTemplate, way: _Way, plain: bool) -> Iterator[Dialect]:
    """What the template could be, for each format."""
    prompt = template.render([ASKED], tools=[PROBES[-1].tool.described]).rstrip()
    marked = markers_of(template.source) or _rendered_markers(template)
    for form in FORMATS:
        thought = form.thought or marked
        inside = thought is not None and prompt.endswith(thought.opening.rstrip())
        yield Dialect(form, thought, inside, True, plain, way.as_text, way.no_content)


def _rendered_markers(template: ChatTemplate) -> Markers | None:
    """The markers of thoughts that a template makes of parts, so that they do not stand in it."""
    thinking = {"role": "assistant", "content": "x", **dict.fromkeys(("reasoning_content", "reasoning"), "y")}
    try:
        return markers_of(template.render([ASKED, thinking]) + template.render([ASKED]))
    except LlamaChatError:
        return None


def _written(template: ChatTemplate, way: "_Way | Dialect", probe: Probe, tools: Sequence[Tool] = ()) -> str | None:
    """What a template writes for a call, from where an answer begins; None where nothing of the call is in it."""
    described = [tool.described for tool in tools or (probe.tool,)]
    before = template.render([ASKED], True, tools=described)
    called = _told(_calling(probe.call), way.as_text, way.no_content)
    after = template.render([ASKED, called], False, tools=described)
    written = after[_branch(before, after) :]
    traces = [one for one in (probe.call.name, *probe.call.arguments.values()) if isinstance(one, str)]
    seen = any(one.casefold() in written.casefold() for one in traces)
    return written if seen else None


def _branch(before: str, after: str) -> int:
    """Where two renderings part, not within a mark."""
    n = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    if n == len(before):
        return n
    for opening, closing in ("<>", "[]"):
        begun = after.rfind(opening, 0, n)
        if begun > after.rfind(closing, 0, n):
            return begun
    return n


def _calling(call: Call) -> Message:
    function = {"name": call.name, "arguments": call.arguments}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": SAMPLE_ID, "type": "function", "function": function}],
    }


def _told(message: Message, as_text: bool, no_content: bool) -> Message:
    """A message with calls, in a way that a template wants."""
    calls = message["tool_calls"]
    plain = {**message}
    if as_text and isinstance(calls, list):
        plain["tool_calls"] = [_as_text(call) for call in calls]
    if no_content and not str(plain.get("content") or "").strip():
        plain["content"] = None
    return plain


def _as_text(call: Any) -> Any:
    """A call whose arguments are JSON text."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or isinstance(function.get("arguments"), str):
        return call
    text = json.dumps(function.get("arguments"), ensure_ascii=False)
    return {**call, "function": {**function, "arguments": text}}
