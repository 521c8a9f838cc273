"""Templates that nobody has read run in a helper process: whatever one call does, it ends, and nothing of it stays."""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from llamachat.errors import LlamaChatError, UsageError
from llamachat.templates import helper
from llamachat.templates.faults import TemplateFault
from llamachat.templates.helper import HELPER
from llamachat.templates.named import builtin_names, builtin_template
from llamachat.templates.program import is_known
from llamachat.templates.renderer import ChatTemplate
from llamachat.templates.text import TextTemplate

HELLO = [{"role": "user", "content": "Hello"}]
BIG = "{% set x = ('f' * 8000000) | int(base=16) %}"
DEEP = "{% set ns = namespace(x=range(90000) | list) %}{% for i in range(150) %}{% set ns.x = [ns.x] %}{% endfor %}"
ENDLESS = [
    pytest.param("{{ ('a' * 7000000).strip('b' * 7000000 ~ 'a') }}", id="strip"),
    pytest.param("{{ ('a' * 7000000) | trim('b' * 7000000 ~ 'a') }}", id="trim"),
    pytest.param("{{ ([[0]] * 400000) | sum(start=[]) | length }}", id="a sum of lists"),
    pytest.param(BIG + "{{ (x // (x + 1)) and 1 }}{{ (x // (('f' * 4000000) | int(base=16))) and 1 }}", id="division"),
    pytest.param(BIG + "{{ (x % (('e' * 4000000) | int(base=16))) and 1 }}", id="remainder"),
    pytest.param(BIG + "{{ x is divisibleby(('e' * 4000000) | int(base=16)) }}", id="divisibleby"),
    pytest.param(DEEP + "{{ ns.x | pprint | length }}", id="pretty printing"),
    pytest.param("{{ ('a' * 4000000).count('a' * 2000000 ~ 'b' ~ 'a' * 1000000) }}" * 400, id="many searches"),
]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "MAX_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("source", ENDLESS)
def test_a_call_that_takes_minutes_is_stopped(source: str) -> None:
    template = ChatTemplate(source + "{{ messages[0].content }}")
    with pytest.raises(LlamaChatError, match="The chat template was stopped"):
        template.render(HELLO)
    assert ChatTemplate("{{ messages[0].content }}").render(HELLO) == "Hello"


@pytest.mark.usefixtures("impatient")
def test_a_template_that_takes_minutes_where_texts_are_marked_is_stopped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "{% if messages[0].content > '\U00020000' %}" + str(ENDLESS[0].values[0]) + "{% endif %}"
    template, ends, end = ChatTemplate(slow + "{{ messages[0].content }}lo"), [], HELPER.end
    monkeypatch.setattr(HELPER, "end", lambda: ends.append(end()))
    parts = template.render_parts(HELLO, special_texts=["lo"])
    assert (parts, len(ends)) == ([("Hel", True), ("lo", False), ("lo", False)], 1)
    assert template.render(HELLO) == "Hellolo"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_helper_that_is_started_within_a_budget_has_limits_of_its_own() -> None:
    HELPER.end()
    request = {"do": "render", "source": ENDLESS[0].values[0], "begins": False, "n_messages": 0, "seconds": 0.3}
    with pytest.raises(TemplateFault, match=r"after 0\.3 seconds of computing"):
        HELPER.ask(json.dumps({**request, "variables": {}, "moment": None}).encode(), 0.3)
    assert HELPER._ended_with == -signal.SIGPROF


@pytest.mark.usefixtures("impatient")
def test_a_prompt_s_template_is_stopped_as_well() -> None:
    with pytest.raises(UsageError, match=r"mine\.md: the text was stopped"):
        TextTemplate(str(ENDLESS[0].values[0]), "mine.md").render({})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_a_call_that_takes_too_much_memory_is_stopped_and_the_next_template_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = "from llamachat.templates import served; served.MEMORY_BYTES = 60_000_000; served.main()"
    monkeypatch.setattr(helper, "START", f"import sys; sys.path[:] = sys.argv[1:]; {small}")
    HELPER.end()
    with pytest.raises(LlamaChatError, match="it needs more than 500 MB of memory"):
        ChatTemplate("{% set x = 'a' * 12000000 %}{% set y = 'b' * 12000000 %}{{ x[1:] }}").render(HELLO)
    assert ChatTemplate("{{ 1 + 1 }}").render([]) == "2"
    HELPER.end()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_is_heard_within_a_call() -> None:
    template = ChatTemplate(str(ENDLESS[0].values[0]))
    main = threading.main_thread().ident
    assert main is not None
    press = threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    press.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            template.render(HELLO)
    finally:
        press.join()
        signal.signal(signal.SIGINT, before)
    assert ChatTemplate("{{ messages[0].content }}").render(HELLO) == "Hello"


def test_a_helper_that_somebody_ended_is_started_again() -> None:
    template = ChatTemplate("{{ messages[0].content }}!")
    assert template.render(HELLO) == "Hello!"
    assert HELPER._process is not None
    HELPER._process.kill()
    assert template.render(HELLO) == "Hello!"
    HELPER.end()
    assert template.render(HELLO) == "Hello!"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_has_a_helper_of_its_own() -> None:
    code = (
        "import os; from llamachat.templates.renderer import ChatTemplate\n"
        "t = ChatTemplate('{{ messages[0].n }}'); t.render([{'n': 1}]); child = os.fork()\n"
        "for n in range(200): assert t.render([{'n': n + bool(child)}]) == str(n + bool(child))\n"
        "if child: assert os.waitpid(child, 0)[1] == 0"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_known_templates_run_in_the_program_and_others_do_not_import_jinja_there() -> None:
    code = (
        "import sys; from llamachat.templates.renderer import ChatTemplate; t = ChatTemplate('{{ 1 }}'); t.render([])\n"
        "assert 'jinja2' not in sys.modules; del sys.modules['llamachat.templates.helper']\n"
        "ChatTemplate(None).render([]); assert 'llamachat.templates.helper' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", builtin_names())
def test_the_templates_of_this_package_are_known(name: str) -> None:
    assert is_known(builtin_template(name))


@pytest.mark.parametrize("text", ["", "é\n\0\x7f", "\U0001f600" * 70000, "\ud800 half"])
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert ChatTemplate("{{ messages[0].content }}").render([{"content": text}]) == text


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


ENDLESS_LIST: list[Any] = []
ENDLESS_LIST += [ENDLESS_LIST, ENDLESS_LIST]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (nested(3000), "nests deeper than 200 levels"),
        (ENDLESS_LIST, "nests deeper than 200 levels"),
        ([0] * 1_000_001, "has over 1000000 values"),
        (b"x", "but no bytes"),
        ({1: 2}, "but no int"),
        (10**5000, "but no number of more than 4096 bits"),
        ("x" * 16_000_001, "more than 16 million characters"),
    ],
    ids=["deep", "endless", "many", "bytes", "number as a name", "number", "long"],
)
@pytest.mark.parametrize("source", [None, "{{ 1 }}"], ids=["known", "unknown"])
def test_a_conversation_that_no_template_can_be_given_is_refused(source: str | None, value: Any, sentence: str) -> None:
    with pytest.raises(LlamaChatError, match=sentence):
        ChatTemplate(source).render([{"role": "user", "content": value}])
