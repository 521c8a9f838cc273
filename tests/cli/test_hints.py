"""The engine names no options: its errors say which settings they are about, and the command line adds what to type."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import llamachat
from llamachat.cli.app import make_program
from llamachat.cli.hints import OPTIONS, hinted
from llamachat.errors import ContextFull, LlamaChatError, ModelFileError, NotEnoughMemory, UsageError

PACKAGE = Path(llamachat.__file__).parent
NAMELESS = ("engine", "templates", "session", "dialogue", "library.py", "files.py", "folders.py", "shortage.py")
OPTION = re.compile(r"(^|[\s(`'\"])--[a-z]|[\s(`'\"]-[a-zA-Z](?![\w-])")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ContextFull("the prompt has 9 tokens, but the context holds 8"), "holds 8 (-c N)"),
        (NotEnoughMemory("a context of 256 tokens would fit", settings=("n_ctx",)), "would fit (-c N)"),
        (NotEnoughMemory("there is not enough memory"), "there is not enough memory"),
        (UsageError("-c N: the context is full", settings=("n_ctx",)), "-c N: the context is full"),
        (ContextFull("use a larger context (--ctx-size)"), "larger context (--ctx-size)"),
        (UsageError("logit_bias '5': write TOKEN+BIAS", settings=("logit_bias",)), "write TOKEN+BIAS (--logit-bias)"),
        (LlamaChatError("no", settings=("samplers", "sampling_seq")), "no (--samplers, --sampling-seq)"),
        (LlamaChatError("anything else"), "anything else"),
    ],
)
def test_an_error_is_told_with_the_options_that_it_is_about(error, said):
    assert hinted(error).endswith(said)


def test_an_error_behind_a_place_is_the_same_otherwise():
    error = UsageError("no", ("the line",), settings=("stop",)).at("c.toml, line 3")
    assert (str(error), error.excerpt, error.settings) == ("c.toml, line 3: no", ("the line",), ("stop",))
    assert str(ModelFileError("no", "m.gguf", "a key").at("here")) == "here: m.gguf: a key: no"


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a file that are no docstrings, with their lines."""
    tree = ast.parse(path.read_text("utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


def files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        yield from (PACKAGE / name).rglob("*.py") if (PACKAGE / name).is_dir() else [PACKAGE / name]


def test_no_sentence_below_the_terminal_names_an_option():
    strings = [(path, line, text) for path in files(NAMELESS) for line, text in literals(path)]
    assert [f"{path}:{line}: {text!r}" for path, line, text in strings if OPTION.search(text)] == []


def test_no_sentence_of_the_catalog_names_an_option():
    sentences = [text for path in files(("catalog",)) for _, text in literals(path) if " " in text]
    assert [text for text in sentences if OPTION.search(text.replace("`uv tool install --reinstall ", ""))] == []


def test_what_looks_for_options_finds_them():
    assert all(OPTION.search(text) for text in ("--tools: x", "use -t 4", "give `--ctx-size N`", "(-c N)"))
    assert not any(OPTION.search(text) for text in ("1-inf bans it", "(-inf)", "gemma-3", "a - b", "--", "-1 or more"))


def settings_named() -> set[str]:
    """Every name that the package gives to `settings` of an error."""
    found: set[str] = set()
    for path in files((*NAMELESS, "catalog", "errors.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "settings":
                found |= {one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)} - {None}
    return found


def test_every_setting_of_an_error_is_an_option():
    known = {name for command in make_program().commands.values() for one in command.params for name in one.opts}
    named = settings_named()
    assert {"n_ctx", "logit_bias", "offline"} <= named
    assert {name for name in named if name not in OPTIONS and f"--{name.replace('_', '-')}" not in known} == set()
