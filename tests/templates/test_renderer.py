"""The renderer: what templates may use, and one clear sentence for whatever goes wrong in them."""

import subprocess
import sys
from datetime import datetime

import pytest

from llamachat.errors import LlamaChatError, ModelFileError
from llamachat.templates import budget
from llamachat.templates.faults import TemplateFault
from llamachat.templates.program import LocalProgram
from llamachat.templates.renderer import ChatTemplate

HELLO = [{"role": "user", "content": "Hello"}]


def rendered(source: str, **kwargs: object) -> str:
    return ChatTemplate(source, "<s>", "</s>", now=lambda: datetime(2024, 7, 26)).render(HELLO, **kwargs)  # type: ignore[arg-type]


def test_without_a_template_a_chat_is_chatml() -> None:
    template = ChatTemplate(None)
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    assert template.is_builtin
    assert template.render(messages) == text + "<|im_start|>assistant\n"
    assert template.render(messages, add_generation_prompt=False) == text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("{{ bos_token }}{{ eos_token }}", "<s></s>", id="bos and eos"),
        pytest.param("{{ {'é': '<b>&\\''} | tojson }}", '{"é": "<b>&\'"}', id="tojson without escapes"),
        pytest.param("{{ 'é' | tojson(ensure_ascii=true) }}", '"\\u00e9"', id="tojson ascii"),
        pytest.param("{{ {'b': 1, 'a': 2} | tojson(indent=1) }}", '{\n "b": 1,\n "a": 2\n}', id="tojson indent"),
        pytest.param("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}", '{"a":2,"b":1}',
                     id="tojson sorted and tight"),
        pytest.param("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01",
                     id="break"),
        pytest.param("{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "02",
                     id="continue"),
        pytest.param("{% for i in 'ab' %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}",
                     "1/2False 2/2True ", id="loop variables"),
        pytest.param("{% for i in [1, 2, 3] if i != 2 %}{{ i }}{% else %}none{% endfor %}", "13", id="filtered loop"),
        pytest.param("{% for i in [] %}{{ i }}{% else %}none{% endfor %}", "none", id="empty loop"),
        pytest.param("{% for i in [[1], [2, [3]]] recursive %}{{ loop(i) if i is iterable else i }}{% endfor %}",
                     "123", id="recursive loop"),
        pytest.param("{% generation %}a{% set x = 1 %}{% endgeneration %}b", "ab", id="generation block"),
        pytest.param("  {% if true %}\n  a\n  {% endif %}\nb", "  a\nb", id="trimmed blocks"),
        pytest.param("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024", id="the clock"),
        pytest.param("{{ tools is none }} {{ documents is none }} {{ nothing }}", "True True ", id="unset names"),
        pytest.param("{{ 'a' ~ 1 ~ 'b' + 'c' }}{{ 7 % 4 }}{{ '%03d' % 7 }}{{ '-' * 3 }}{{ 2 ** 5 }}", "a1bc3007---32",
                     id="operators"),
        pytest.param("{{ messages[0].content.upper() }} {{ '{:>4}'.format('x') }}", "HELLO    x", id="methods"),
    ],
)  # fmt: skip
def test_templates_can_use(source: str, expected: str) -> None:
    assert rendered(source) == expected


def test_further_arguments_reach_the_template() -> None:
    assert rendered("{{ enable_thinking }}{{ tools[0] }}", enable_thinking=False, tools=["t"]) == "Falset"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{% for x in messages %}", id="an open block"),
        pytest.param("{{ 'a", id="an open string"),
        pytest.param("{{ x | nofilter }}", id="an unknown filter"),
        pytest.param("{% nonsense %}", id="an unknown tag"),
        pytest.param("(" * 3 + "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", id="nested too deeply"),
        pytest.param("{% if 1 %}" * 300 + "{% endif %}" * 300, id="too many nested blocks"),
        pytest.param("{{ " + "9" * 5000 + " }}", id="a number too long"),
    ],
)
def test_a_template_that_does_not_compile_is_a_fault_of_the_model_file(source: str) -> None:
    with pytest.raises(ModelFileError, match="The chat template is not valid Jinja") as caught:
        rendered(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param("{{ raise_exception('No\nrole') }}", "refuses this conversation: No role", id="it says no"),
        pytest.param("a\n{{ no.role }}", "fails on this conversation in line 2: 'no' is undefined", id="undefined"),
        pytest.param("{{ 1 / 0 }}", "fails on this conversation in line 1: division by zero", id="arithmetic"),
        pytest.param("{{ messages + 1 }}", "fails on this conversation in line 1: can only", id="types"),
        pytest.param("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself too deeply", id="recursion"),
        pytest.param("{% include 'x' %}", "fails on this conversation", id="another file"),
    ],
)  # fmt: skip
def test_a_template_that_fails_says_why_in_one_sentence(source: str, sentence: str) -> None:
    with pytest.raises(LlamaChatError) as caught:
        rendered(source)
    assert sentence in str(caught.value)
    assert not isinstance(caught.value, ModelFileError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ ''.__class__.__mro__ }}{{ ''.__class__.__mro__[1] }}", id="classes"),
        pytest.param("{{ messages.append(1) }}", id="changing the messages"),
        pytest.param("{{ raise_exception.__globals__['json'] }}", id="globals of a function"),
        pytest.param("{{ '{0.__class__.__mro__}'.format(messages)[0].x }}", id="through format"),
        pytest.param("{{ strftime_now.__closure__[0].x }}", id="through the clock"),
    ],
)
def test_a_template_cannot_leave_its_sandbox(source: str) -> None:
    with pytest.raises(LlamaChatError, match=r"fails on this conversation"):
        rendered(source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3, id="nested loops"),
        pytest.param("{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
                     id="macros that call twice"),
        pytest.param("{% for i in range(1000000000) %}{% endfor %}", id="a huge range"),
        pytest.param("{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}", id="much output"),
        pytest.param("{{ 'x' * 10000000000 }}", id="times"),
        pytest.param("{{ [1] * 10000000000 }}", id="times a list"),
        pytest.param("{{ 10 ** 10000000000 }}", id="power"),
        pytest.param("{{ '%09999999999d' % 1 }}", id="percent"),
        pytest.param("{{ '%*d' % (9999999999, 1) }}", id="percent star"),
        pytest.param("{{ '%09999999999d' | format(1) }}", id="the format filter"),
        pytest.param("{{ '{:>9999999999}'.format(1) }}", id="format"),
        pytest.param("{{ strftime_now('%9999999999Y') }}", id="the clock"),
        pytest.param("{{ 'x'.ljust(9999999999) }}", id="ljust"),
        pytest.param("{{ 'x' | center(9999999999) }}", id="the center filter"),
        pytest.param("{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                     id="doubling by ~"),
        pytest.param("{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
                     id="doubling by +"),
        pytest.param("{% set ns = namespace(s='x') %}"
                     "{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] | join %}{% endfor %}", id="doubling by join"),
        pytest.param("{% set ns = namespace(n=9) %}{% for i in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
                     id="squaring"),
    ],
)  # fmt: skip
def test_a_runaway_template_is_stopped(source: str) -> None:
    with pytest.raises(LlamaChatError, match=r"stopped|Range too big"):
        rendered(source)


def test_a_slow_template_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_CPU_S", -1.0)
    program = LocalProgram("{% for i in range(999) %}{% endfor %}")
    program.begin()
    with pytest.raises(TemplateFault, match="seconds of computing"):
        program.render({})


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ (" + "(" * 5000 + "1" + ")" * 5000 + ") }}", id="nested too deeply"),
        pytest.param("{% for x in messages %}", id="an open block"),
        pytest.param("{{ x | nofilter }}", id="an unknown filter"),
    ],
)
def test_a_template_that_does_not_compile_is_a_fault_of_the_model_file_in_parts_too(source: str) -> None:
    with pytest.raises(ModelFileError, match="The chat template is not valid Jinja"):
        ChatTemplate(source).render_parts(HELLO)


def test_the_renderings_of_one_conversation_in_parts_share_one_budget() -> None:
    looks = "".join(f"{{{{ 'w{n}w' in messages[0].content }}}}" for n in range(60))
    content = " ".join(f"w{n}w" for n in range(60))
    program = LocalProgram("{% for i in range(90000) %}{% endfor %}" + looks + "{{ messages[0].content }}")
    template = ChatTemplate(program.source)
    template._program = program
    parts = template.render_parts([{"role": "user", "content": content}])
    assert "".join(text for text, _ in parts).endswith(content)
    assert program.environment.budget.steps > budget.MAX_STEPS


def test_the_budget_is_new_for_each_rendering() -> None:
    template = ChatTemplate("{% for i in range(90000) %}{% endfor %}x")
    assert {template.render(HELLO) for _ in range(12)} == {"x"}


def test_jinja_is_imported_when_something_is_rendered() -> None:
    code = (
        "import sys; from llamachat.templates.renderer import ChatTemplate; t = ChatTemplate(None);"
        "before = 'jinja2' in sys.modules; t.render([]); sys.exit(before or 'jinja2' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
