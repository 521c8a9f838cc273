"""Writes docs/tools.md: how tools are used, and what is known of the calls of public chat templates.

python tools/make_tools_docs.py FOLDER ...: templates are the *.jinja files of the folders, and those of this package.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from llamachat.dialogue.tools.choice import template_dialect
from llamachat.errors import UsageError
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
- A call is shown with its command. `y` runs it, `n` does not, `a` runs this tool in this chat from now on without a
  question. `--yes` never asks.
- What the command writes to standard output is what the model reads, 16,000 characters at most. A command has 60
  seconds. What it leaves running in the background is ended with it.
- Once a call has begun, a grammar keeps it to the tools and their schemas where the format has its arguments in JSON.
- What stands in a model's thoughts is never run.

## Templates

A model writes calls as its chat template has taught it. Before a chat with tools begins, a call is rendered through
the template and read back; where it does not come back as it was, `--tools` is refused with the reason (exit code 2).
A template that shows no tools to the model is refused, too.

{summary}

| template | calls | remarks |
| --- | --- | --- |
"""


def row(name: str, source: str) -> str:
    """A template's line of the table."""
    try:
        dialect = template_dialect(source)
    except UsageError as error:
        reason = str(error).removeprefix("--tools: this model's chat template ").partition("; give another one")[0]
        return f"| {name} | refused | {_plain(reason)} |"
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


def main() -> None:
    """Write the file."""
    found = [(name, source) for name, source in templates([Path(one) for one in sys.argv[1:]]) if with_tools(source)]
    rows = [row(name, source) for name, source in found]
    n_refused = sum("| refused |" in line for line in rows)
    summary = f"Of {len(rows)} public templates that speak of tools {len(rows) - n_refused} are read back."
    TARGET.write_text(HEAD.replace("{summary}", summary) + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
