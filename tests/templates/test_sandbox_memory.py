"""A template that would fill the memory is refused before it has; each runs in a process that says what it took."""

import subprocess
import sys

import pytest

from llamachat.errors import ModelFileError
from llamachat.templates.renderer import ChatTemplate

PROGRAM = """
import os, resource, sys
from llamachat.errors import LlamaChatError
from llamachat.templates.helper import HELPER
from llamachat.templates.renderer import ChatTemplate

def peak_memory():
    # Not ru_maxrss of this process: Linux lets it begin with the peak of the process that started this one.
    if not os.path.exists("/proc/self/status"):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

try:
    made = ChatTemplate(sys.argv[1]).render([{"role": "user", "content": "Hello"}])
    print("rendered", len(made))
except LlamaChatError as error:
    print(error)
HELPER.end()
print(max(peak_memory(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""
NESTED = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
GROWING = "{% set ns = namespace(l=[], s='x' * 100000) %}{% for i in range(5000) %}"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ ('a' * 4000) | replace('a', 'b' * 1000000) }}", id="the replace filter"),
        pytest.param("{{ ('a' * 4000).replace('a', 'b' * 1000000) }}", id="replace"),
        pytest.param("{{ ('a' * 100000).replace('', 'b' * 1000000) }}", id="replace nothing"),
        pytest.param("{% set x = 'a' * 1000000 %}{{ ([x] * 1000) | join }}", id="the join filter"),
        pytest.param("{% set x = 'a' * 1000000 %}{{ range(1000) | map('replace', 0, x) | join }}", id="a lazy join"),
        pytest.param("{{ ('a' * 1000000).join('b' * 1000000) }}", id="join"),
        pytest.param("{{ ('a' * 1000000) | join('b' * 1000000) }}", id="join with a long separator"),
        pytest.param("{% set ns = namespace(l='abcdefgh') %}{% for i in range(40) %}"
                     "{% set y %}{{ ns.l }}{{ ns.l }}{% endset %}{% set ns.l = y %}{% endfor %}", id="block"),
        pytest.param("{% set y %}{{ 'a' * 8000000 }}{% endset %}" + "{% set y %}{{ y }}{{ y }}{% endset %}" * 20,
                     id="blocks in a row"),
        pytest.param("{% macro f(n) %}{% for i in range(99) %}{{ 'a' * 100000 }}{% endfor %}{% endmacro %}"
                     "{% for i in range(99) %}{% set x = f(i) %}{% endfor %}", id="macros that write"),
        pytest.param("{{ ('%(a)s' * 100000) % {'a': 'b' * 1000000} }}", id="percent with a name"),
        pytest.param("{{ ('%(a)s' * 100000) | format(a='b' * 1000000) }}", id="the format filter with a name"),
        pytest.param("{{ ('%99999d' * 10000) % ((1,) * 10000) }}", id="percent with widths"),
        pytest.param("{{ ('{0}' * 100000).format('b' * 1000000) }}", id="format"),
        pytest.param("{{ ('{a}' * 100000).format_map({'a': 'b' * 1000000}) }}", id="format_map"),
        pytest.param("{{ ('{0:{1}}' * 1000).format(1, 900000) }}", id="format with a width as a value"),
        pytest.param(GROWING + "{% set ns.l = ns.l + [ns.s ~ i] %}{% endfor %}", id="a list of growing strings"),
        pytest.param(GROWING + "{% set ns.s = ns.s ~ 'x' %}{% endfor %}", id="a text that grows"),
        pytest.param(GROWING + "{% set ns.l = [ns.l, ns.s[1:]] %}{% endfor %}", id="slices"),
        pytest.param("{% set x = range(99999) | list %}{% set ns = namespace(l=[]) %}"
                     "{% for i in range(9999) %}{% set ns.l = [ns.l, x[1:]] %}{% endfor %}", id="slices of lists"),
        pytest.param("{% set ns = namespace(l=[]) %}"
                     "{% for i in range(9999) %}{% set ns.l = [range(99999) | list] %}{% endfor %}", id="lists"),
        pytest.param("{{ ('a' * 1000000).translate({97: 'b' * 1000000}) }}", id="translate"),
        pytest.param("{{ ('ab ' * 5000000).split() | length }}", id="split"),
        pytest.param("{{ ('ab\n' * 5000000).splitlines() | length }}", id="splitlines"),
        pytest.param("{{ ('ab ' * 5000000) | wordcount }}", id="wordcount"),
        pytest.param("{{ ('ab' * 5000000) | list | length }}", id="a text as a list"),
        pytest.param("{{ 'a' | slice(15000000) | list | length }}", id="many slices"),
        pytest.param("{{ ('\n' * 100000) | indent(100000) }}", id="indent"),
        pytest.param("{{ ('\t' * 100000).expandtabs(100000) }}", id="expandtabs"),
        pytest.param("{{ range(99999) | list | tojson(indent=100000) }}", id="indented JSON"),
        pytest.param("{{ range(99999) | list | tojson(separators=['x' * 100000, '']) }}", id="separated JSON"),
        pytest.param("{{ (5).to_bytes(900000000, 'big') | length }}", id="bytes of a number"),
        pytest.param("{{ ('a'.encode() * 900000000) | length }}", id="bytes of a text"),
        pytest.param(NESTED + "{{ ns.x }}", id="nested, printed"),
        pytest.param(NESTED + "{{ ns.x | tojson }}", id="nested, as JSON"),
        pytest.param(NESTED + "{{ ns.x | pprint }}", id="nested, pretty"),
        pytest.param(NESTED + "{{ ns.x == [ns.x[0], [ns.x[1]]] }}", id="nested, compared"),
        pytest.param(NESTED.replace("[ns.x, ns.x]", "(ns.x, ns.x)") + "{{ {ns.x: 1} }}", id="nested, as a key"),
        pytest.param(NESTED.replace("[ns.x, ns.x]", "{'a': ns.x, 'b': ns.x}") + "{{ ns.x }}", id="nested mappings"),
        pytest.param(NESTED.replace("[ns.x, ns.x]", "dict(a=ns.x, b=ns.x)") + "{{ ns.x }}", id="nested calls of dict"),
        pytest.param("{% macro f() %}{% set ns.x = varargs %}{% endmacro %}"
                     + NESTED.replace("{% set ns.x = [ns.x, ns.x] %}", "{{ f(ns.x, ns.x) }}") + "{{ ns.x }}",
                     id="nested arguments"),
        pytest.param(NESTED.replace("[ns.x, ns.x]", "(ns.x,)").replace("60", "90000") + "{{ {ns.x: 1} }}",
                     id="a deep key"),
        pytest.param("{% for a in 'abcdefghij' %}" * 9 + "{% endfor %}" * 9, id="loops over constants"),
    ],
)  # fmt: skip
def test_a_template_that_would_fill_the_memory_is_refused_before_it_has(source: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, source], capture_output=True, text=True, timeout=60)
    said, kilobytes = done.stdout.splitlines()
    assert said.startswith("The chat template")
    assert int(kilobytes) < 200_000


def test_namespaces_that_hold_one_another_are_printed_without_what_they_hold() -> None:
    chain = "".join(f"{{% set n{i} = namespace() %}}" for i in range(60))
    links = "".join(f"{{% set n{i}.x = [n{i + 1}, n{i + 1}] %}}" for i in range(59))
    assert ChatTemplate(chain + links + "{{ n0 }}{{ n0.x }}").render([]) == "<Namespace>[<Namespace>, <Namespace>]"


def test_a_long_conversation_is_no_reason_to_stop() -> None:
    messages = [{"role": "user", "content": f"word {n} " * 500} for n in range(1000)]
    source = (
        "{% set ns = namespace(kept=[]) %}{% for m in messages[0:] %}{% set ns.kept = ns.kept + [m] %}{% endfor %}"
        "{% for m in ns.kept %}{{ '<|' ~ m.role ~ '|>' + m.content.strip() | replace('word', 'w') }}"
        "{{ m.content.split('</think>')[-1] | trim }}{{ m | tojson | length }}{% endfor %}"
    )
    assert len(ChatTemplate(source).render(messages)) > 5_000_000


@pytest.mark.parametrize("search", ["rfind({})", "rindex({})", "rpartition({})", "rsplit({})", "rsplit({}, 1)"])
def test_a_search_that_would_take_minutes_is_refused(search: str) -> None:
    source = "{{ ('a' * 4000000)." + search.format("'ab' ~ 'a' * 2000000") + " }}"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, source], capture_output=True, text=True, timeout=60, check=True
    )
    assert "was stopped" in done.stdout


def test_short_searches_from_the_end_go_on() -> None:
    source = "{{ ('a' * 1000000 ~ '</think>b').rsplit('</think>', 1)[1] }}"
    assert ChatTemplate(source).render([]) == "b"


def test_a_template_that_is_too_long_to_be_read_is_refused() -> None:
    with pytest.raises(ModelFileError, match="it has 70000 characters, and 65536 are read at most"):
        ChatTemplate("{{a}}" * 14000).render([])
