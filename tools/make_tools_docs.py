"""Writes docs/tools.md: how tools are used, and which public chat templates with tools are supported.

python tools/make_tools_docs.py [FOLDER ...]: templates are the *.jinja files of the folders and those of this package.
Rows of other templates stay as they are in the file.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from llamachat.dialogue.tools.choice import TemplateRefused, template_dialect
from llamachat.templates.named import builtin_names, builtin_template

TARGET = Path(__file__).resolve().parents[1] / "docs" / "tools.md"

HEAD = """# Tools

Made by `python tools/make_tools_docs.py`; a test compares the two.

`llamachat chat --tools FILE` gives a model functions to call. The file is a JSON list; each tool has a name, a
description, a JSON schema of its arguments, and the command that does the work as a list of words:

```json
[
  {
    "name": "now",
    "description": "The day and the time.",
    "parameters": {"type": "object", "properties": {}},
    "command": ["date", "+%A, %d %B %Y, %H:%M"]
  },
  {
    "name": "count_words",
    "description": "Counts the words of a text.",
    "parameters": {
      "type": "object",
      "properties": {"text": {"type": "string", "description": "The text."}},
      "required": ["text"],
      "additionalProperties": false
    },
    "command": ["sh", "-c", "printf %s \\"$1\\" | wc -w", "sh", "{text}"]
  }
]
```

- `{text}` in a word is replaced by the argument `text`. No shell reads the words unless you name one, and then an
  argument belongs in a word of its own, as above. All arguments are also on the command's standard input, as JSON.
- A call is shown with its command. `y` runs it, `n` does not, `a` runs this tool in this chat from now on without
  asking. `--yes` never asks.
- The model gets the command's standard output, at most 16,000 characters. A command has 60 seconds. Processes that it
  left running in the background are ended with it.
- Once a call has begun, a grammar constrains it to the tools and their schemas, if the format has its arguments in
  JSON.
- Calls inside a model's thoughts are never run.

## Models

Save the list above as `tools.json`. The template of the default model, SmolLM2-135M, has no tools. The built-in
template `hermes` adds them for every model that was trained on ChatML:

    llamachat chat --tools tools.json --chat-template hermes

The default model is too small to use tools: mostly it makes no call at all. Larger models do, as Llama 3.1 8B Instruct
and Llama 3.2 3B Instruct. Their own templates have tools, so they need no `--chat-template` (5 GB and 2 GB to
download):

    llamachat chat -m hf:bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M --tools tools.json
    llamachat chat -m hf:bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M --tools tools.json

## Templates

A model writes calls in the format of its chat template. Before a chat with tools begins, a call is rendered through
the template and parsed again. If the result differs, `--tools` is refused with the reason (exit code 2). A template
that does not show the tools to the model is refused, too.

{summary}

| template | calls | remarks |
| --- | --- | --- |
"""


def row(name: str, source: str) -> str:
    """A template's line of the table."""
    try:
        dialect = template_dialect(source)
    except TemplateRefused as error:
        return f"| {name} | refused | {_plain(error.reason)} |"
    remarks = {
        "written": "" if dialect.written else "the template repeats calls as they were written",
        "plain": "nested arguments are not repeated as they were" if dialect.plain else "",
        "as_text": "takes arguments as JSON text" if dialect.as_text else "",
        "no_content": "repeats calls without other text" if dialect.no_content else "",
    }
    return f"| {name} | {dialect.form.name} | {'; '.join(filter(None, remarks.values()))} |"


def with_tools(source: str) -> bool:
    """Whether a template says anything of tools."""
    return re.search(r"\btools?\b", source) is not None


def templates(folders: list[Path]) -> Iterator[tuple[str, str]]:
    """Names and sources, those of this package first."""
    yield from ((f"`{name}`", builtin_template(name)) for name in builtin_names())
    files = {path.stem: path for folder in folders for path in sorted(folder.glob("*.jinja"))}
    for name in sorted(files, key=str.casefold):
        yield name, files[name].read_text(encoding="utf-8")


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "\\<").split())


def page(before: str, rows: dict[str, str]) -> str:
    """The text. before: the page until now, whose other rows stay; rows: {template's name: its line}."""
    old = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines() if line.startswith("| ")}
    others = {name: line for name, line in old.items() if name not in ("template", "---") and name[0] != "`"}
    lines = sorted((others | rows).items(), key=lambda one: (one[0][0] != "`", one[0].casefold()))
    n_refused = sum("| refused |" in line for _, line in lines)
    summary = f"{len(lines) - n_refused} of {len(lines)} public templates with tools are supported."
    return HEAD.replace("{summary}", summary) + "\n".join(line for _, line in lines) + "\n"


def main() -> None:
    """Writes the file."""
    found = [(name, source) for name, source in templates([Path(one) for one in sys.argv[1:]]) if with_tools(source)]
    TARGET.write_text(page(TARGET.read_text("utf-8"), {name: row(name, source) for name, source in found}), "utf-8")


if __name__ == "__main__":
    main()
