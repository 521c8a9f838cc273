"""What a template finds ready made cannot reach the caller's data, nor fill what was weighed already."""

import copy
from contextlib import suppress

import pytest

from llamachat.errors import LlamaChatError
from llamachat.templates.faults import TemplateFault
from llamachat.templates.program import LocalProgram
from llamachat.templates.renderer import ChatTemplate

MESSAGES = [{"role": "user", "content": "Hello", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}]
CHANGES = [
    "dict.update(messages[0], {'content': 'other'})",
    "dict.pop(messages[0], 'content')",
    "dict.clear(messages[0].tool_calls[0].function.arguments)",
    "dict.setdefault(messages[0], 'x', 1)",
    "dict.popitem(messages[0])",
    "dict().update(a=1)",
    "messages[0].update(a=1)",
    "messages.append(1)",
    "messages[0].tool_calls.clear()",
    "(dict | attr('update'))(messages[0], {'content': 'other'})",
    "messages[0] | attr('pop')('content')",
    "range.count(messages, 1)",
    "namespace.update(messages[0])",
    "cycler.next(namespace(items=messages, pos=0))",
    "joiner.sep",
    "messages | map('attr', 'clear') | list",
]


@pytest.mark.parametrize("expression", CHANGES)
def test_a_template_cannot_change_its_caller_s_data(expression: str) -> None:
    messages, tools = copy.deepcopy(MESSAGES), [{"name": "f"}]
    for show in ("{{ %s }}", "{%% set x = %s %%}{{ x }}"):
        for render in (ChatTemplate(show % expression).render, ChatTemplate(show % expression).render_parts):
            with suppress(LlamaChatError):
                render(messages, tools=tools)
    assert (messages, tools) == (MESSAGES, [{"name": "f"}])


@pytest.mark.parametrize("name", sorted(LocalProgram("").environment.globals))
def test_no_ready_made_name_is_a_class(name: str) -> None:
    assert not isinstance(LocalProgram("").environment.globals[name], type)


@pytest.mark.parametrize(
    "fill",
    [
        "{{ '' if dict.update(box, {i: dict(a=box, b=box)}) }}",
        "{{ '' if box.update({i: box}) }}",
        "{% set box = dict(box, **{'a' ~ i: box, 'b' ~ i: box}) %}{% set ns.box = box %}",
    ],
)
def test_nothing_is_filled_after_it_was_weighed(fill: str) -> None:
    source = "{% set ns = namespace(box={}) %}{% for i in range(40) %}{% set box = ns.box %}" + fill + "{% endfor %}"
    program = LocalProgram(source + "{{ ns.box }}")
    program.begin()
    with pytest.raises(TemplateFault, match=r"was stopped|has no attribute|unsafe"):
        program.render({})


def test_what_is_ready_made_does_what_jinja_s_does() -> None:
    source = (
        "{% set d = dict(a=1, **{'b': 2}) %}{{ d }}{% set c = cycler('x', 'y') %}{{ c.next() }}{{ c.next() }}"
        "{% set j = joiner('+') %}{{ j() }}{{ j() }}{{ range(1, 6, 2) | list }}"
        "{% set ns = namespace(n=1) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}"
    )
    assert ChatTemplate(source).render([]) == "{'a': 1, 'b': 2}xy+[1, 3, 5]2"
