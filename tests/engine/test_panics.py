"""A Rust library's backtrace does not reach standard error, and nothing else is lost."""

import subprocess
import sys

BEGIN = "import os, sys, threading; from llamachat.engine.panics import without_backtraces\n"


def run(code: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, done.stderr


def test_a_panic_is_not_printed_and_what_others_write_is() -> None:
    code = (
        "with without_backtraces():\n    os.write(2, b'a note\\n')\n"
        "with without_backtraces():\n    os.write(2, b\"thread 'x' panicked at y\\nstack backtrace:\\n\")\n"
        "print('after', file=sys.stderr)"
    )
    assert run(code) == ("", "a note\nafter\n")


def test_standard_error_is_given_back_whoever_ends_last() -> None:
    code = (
        "first, second = without_backtraces(), without_backtraces()\n"
        "first.__enter__(); second.__enter__(); first.__exit__(None, None, None); os.write(2, b'one\\n')\n"
        "second.__exit__(None, None, None); os.write(2, b'two\\n')"
    )
    assert run(code) == ("", "one\ntwo\n")


def test_a_closed_standard_error_is_no_fault() -> None:
    assert run("os.close(2)\nwith without_backtraces(): print('done')\n")[0] == "done\n"


def test_a_vocabulary_with_an_endless_token_makes_a_grammar_without_it() -> None:
    code = (
        "from llamachat.engine.grammar import GrammarSource\n"
        "class V:\n    n_vocab = 259; eog = frozenset((256,))\n"
        "    def piece_bytes(self, t, special=False): return bytes((t,)) if t < 256 else b'a' * 60000 * (t - 256)\n"
        "made = GrammarSource.gbnf('root ::= [a-z]+').constraint(V()); print(made.accepts('abc'))"
    )
    assert run(code) == ("True\n", "")
