"""What the documentation says, held against the program."""

import ast
import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from llamachat import __version__
from llamachat.catalog.known import KNOWN, SMOLLM2
from llamachat.cli.app import MEANINGS, make_program
from llamachat.engine.backend.choose import choose
from llamachat.engine.backend.cpu.jit.isa import ISAS
from llamachat.engine.grammar.source import builtin_names
from llamachat.engine.quants import FORMATS
from llamachat.engine.state.spec import KeyValueSpec
from llamachat.errors import ExitCode
from llamachat.terminal.commands import COMMANDS as SLASH_COMMANDS
from llamachat.terminal.input.keytable import KEYS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "llamachat"
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text("utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("prompts/*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
APP = make_program()


def command_lines(document):
    """Every `llamachat ...` of a document's indented blocks and code spans, without pipes and redirections."""
    blocks = re.findall(r"^ {4}(?! )(.*)$", document, re.MULTILINE)
    spans = re.findall(r"`([^`\n]*(?:\n[^`\n]+)?)`", re.sub(r"```.*?```", "", document, flags=re.DOTALL))
    for text in [*blocks, *spans]:
        for part in re.split(r" [|>] ", " ".join(text.split("  #")[0].split())):
            if part.startswith("llamachat "):
                yield part


def sources(document):
    return [
        pytest.param(line, id=f"{document.name}: {line}")
        for line in dict.fromkeys(command_lines(document.read_text("utf-8")))
    ]


@pytest.mark.parametrize("line", [one for document in DOCUMENTS for one in sources(document)])
def test_a_documented_command_line_is_understood(line):
    _, name, *arguments = shlex.split(line)
    if name.startswith("-"):
        assert name in {option for parameter in APP.params for option in parameter.opts}
        return
    APP.commands[name].make_context(name, arguments)


def section(document, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", document, re.MULTILINE | re.DOTALL)[1]


def table(text):
    """The cells of a table's rows below its rule."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("|")
    ]
    return rows[2:]


def test_the_readme_lists_the_commands_that_exist_each_with_an_example():
    rows = table(section(README, "Commands"))
    assert sorted(row[0].strip("`") for row in rows) == sorted(APP.commands)
    assert all(row[2].startswith(f"`llamachat {row[0].strip('`')} ") or row[0] == "`models`" for row in rows)


def test_the_readme_lists_the_exit_codes_with_the_meanings_of_the_help():
    assert [(int(code), text) for code, text in table(section(README, "Exit codes"))] == [
        (int(code), MEANINGS[code]) for code in ExitCode
    ]


def test_the_readme_lists_the_variables_that_the_program_reads():
    read = {
        name for path in PACKAGE.rglob("*.py") for name in re.findall(r"LLAMACHAT_[A-Z_]+", path.read_text("utf-8"))
    }
    assert {row[0].strip("`") for row in table(section(README, "Environment variables"))} == read


def test_the_readme_lists_formats_and_processors():
    models = re.search(r"^\*\*Models\*\*(.*?)^\*\*Processors\*\*(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"\b(?:I?[QT]?Q\d_\w+|B?F\d\d|MXFP4|NVFP4)\b", models[1])) == set(FORMATS)
    assert re.findall(r"`((?:avx|neon|generic)[\w-]*)`", models[2]) == list(ISAS)


def test_the_readme_names_options_grammars_and_keys_that_exist():
    given = [one for command in (APP, *APP.commands.values()) for one in command.params]
    options = {option for one in given for option in (*one.opts, *one.secondary_opts)}
    assert set(re.findall(r"`(--?[a-z][\w-]*)", README)) <= options
    grammars = re.search(r"or a name: (.*?)\)", README, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", grammars)) == set(builtin_names())
    keys = " ".join(key.keys for group in KEYS.values() for key in group)
    named = re.findall(r"\b(?:Alt|Ctrl)\+\w+(?: Ctrl\+\w+)?|\bEsc\b|\bTab\b", section(README, "Chat"))
    assert len(named) > 5
    assert [key for key in named if key not in keys] == []


def test_the_readme_names_slash_commands_that_exist_and_the_known_models():
    assert set(re.findall(r"`(/\w+)`", README)) <= {command.name for command in SLASH_COMMANDS}
    assert "(docs/chat.md)" in README
    assert set(KNOWN) <= set(re.findall(r"`([\w.-]+)`", README))
    assert f"({SMOLLM2.wheels[0].n_bytes / 1e6:.0f} MB)" in README


def test_the_readme_asks_for_the_python_that_the_package_needs():
    assert f"Python {PROJECT['requires-python'].removeprefix('>=')} or newer" in README


def test_the_make_targets_of_the_documents_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"(?:`|^ {4})make(?: -s)? ([a-z]+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert named
    assert named <= targets


LARGER = {
    "Qwen2.5 Coder 0.5B": (0.49, 24, 2, 64, 0),
    "Llama 3.2 1B": (0.81, 16, 8, 64, 0),
    "Llama 3.2 3B": (2.02, 28, 8, 128, 0),
    "Llama 3.1 8B": (4.92, 32, 8, 128, 0),
    "Gemma 3 4B": (2.49, 34, 4, 256, 1024),
    "Gemma 3 12B": (7.30, 48, 8, 256, 1024),
}
"""{model: GB of its Q4_K_M file, layers, key and value heads, their width, window of five of six layers}."""


@pytest.mark.parametrize("row", table(section(README, "Which model"))[1:], ids=lambda row: row[1])
def test_the_readmes_memory_of_a_model_is_its_weights_and_cache_and_half_a_gigabyte(row):
    gigabytes, n_layer, n_heads, width, window = LARGER[row[1]]
    states = [KeyValueSpec(n, n_heads, width, width, window if n % 6 < 5 else 0) for n in range(n_layer)]
    needed = gigabytes + choose().state_sizes(states, "f16", "f16").cache(8192) / 1e9
    assert 0.2 <= float(row[0].removesuffix(" GB")) - needed <= 1


@pytest.mark.real
def test_the_readmes_library_example_runs(smollm2, capsys):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1].replace('"model.gguf"', repr(str(smollm2)))
    names = {}
    exec(code, names)
    assert names["logits"].shape == (49152,)
    assert len(capsys.readouterr().out) > 100


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in DOCUMENTS])
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if not target.startswith(("https://", "http://")):
            assert (path.parent / target).exists(), target


def defined_names(path):
    """Names of a file's functions, classes, methods (as Class.method) and constants."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{child.name}" for child in node.body if isinstance(child, ast.FunctionDef)}
    return names


PLACES = sorted(set(re.findall(r"`([\w/]+\.py): ([\w.]+)`", ARCHITECTURE)))


@pytest.mark.parametrize(("file", "name"), [pytest.param(*place, id=f"{place[0]}: {place[1]}") for place in PLACES])
def test_a_name_in_the_architecture_is_defined_in_its_file(file, name):
    assert name in defined_names(PACKAGE / file)


def test_the_files_and_folders_that_the_documents_name_exist():
    named = re.findall(r"`([\w.]+(?:/[\w.]+)*(?:/|\.py|\.toml|\.md))(?::[^`]*)?`", ARCHITECTURE + PERFORMANCE)
    examples = [name for name in named if "NAME" not in name and name not in ("design.md", "style.md")]
    missing = [
        name for name in examples if not any((place / name).exists() for place in (ROOT, PACKAGE, ROOT / "benchmarks"))
    ]
    assert missing == []


def test_the_architecture_has_every_part_of_the_package():
    parts = {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} - {"engine/"}
    engine = tuple(PACKAGE / f"engine/{name}" for name in ("", "backend", "backend/cpu", "models"))
    parts |= {f"{path.parent.relative_to(PACKAGE)}/" for folder in engine for path in folder.glob("*/__init__.py")}
    listed = set(re.findall(r"`([\w/]+/)`", section(ARCHITECTURE, "Package layout")))
    assert listed == parts


def test_the_architectures_layers_are_those_that_are_enforced():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    enforced = [layer.replace("llamachat.", "") for layer in project["tool"]["importlinter"]["contracts"][0]["layers"]]
    block = re.search(r"^ {4}cli → .*\n(?: {8}.*\n)+", ARCHITECTURE, re.MULTILINE)[0]
    assert [" ".join(layer.split()) for layer in block.split("→")] == enforced


def test_the_architecture_says_of_each_dependency_what_it_is_for():
    needed = sorted(re.match(r"[\w-]+", one)[0] for one in PROJECT["dependencies"])
    assert [row[0] for row in table(section(ARCHITECTURE, "Dependencies"))] == needed


def test_typer_is_pinned_to_the_release_that_the_architecture_names():
    (pin,) = (one for one in PROJECT["dependencies"] if one.startswith("typer"))
    assert f"typer is pinned to {re.search(r'>=([0-9.]+)', pin)[1]}" in ARCHITECTURE


def test_the_changelog_begins_with_this_version_and_goes_down():
    versions = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\] - ", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    numbers = [tuple(map(int, version)) for version in versions]
    assert ".".join(versions[0]) == __version__
    assert all(newer > older for newer, older in pairwise(numbers))


@pytest.mark.parametrize("document", [pytest.param(README, id="README"), pytest.param(PERFORMANCE, id="performance")])
def test_result_tables_have_a_cell_for_every_column(document):
    marked = re.findall(r"<!-- (\w+) -->\n(.*?)<!-- \1 -->", document, re.DOTALL)
    assert marked
    for name, text in marked:
        assert len({line.count("|") for line in text.strip().splitlines()}) == 1, name
