"""Writes llamachat/templates/known.txt: hashes of templates that were read and may run in the program's own process.

python tools/known_templates.py [FILE.jinja | MODEL.gguf ...]: the built-in templates and prompts anew, the entries that
the file has from elsewhere, and those of FILES. Read a template before you name it here.
"""

import sys
from pathlib import Path

from llamachat.cli.prompt_library.places import shipped_folder
from llamachat.cli.prompt_library.reading import read_prompt
from llamachat.engine.gguf import open_gguf
from llamachat.templates.named import builtin_names, builtin_template
from llamachat.templates.program import template_hash

LIST = Path(__file__).resolve().parents[1] / "llamachat" / "templates" / "known.txt"
HEAD = "# Hashes of templates that were read and may run in the program's own process (tools/known_templates.py)."
PROMPTS = "prompts/"


def source_of(path: Path) -> str:
    """The chat template in a file; "" where a model has none. Raises OSError, ModelFileError."""
    if path.suffix == ".gguf":
        return str(open_gguf(path).metadata.get("tokenizer.chat_template", ""))
    return path.read_text(encoding="utf-8")


def listed(before: str, sources: dict[str, str]) -> str:
    """The text of the list. before: the one until now; sources: {name: template} of those that are added."""
    named = {template_hash(builtin_template(name)): name for name in builtin_names()}
    for path in sorted(shipped_folder().glob("*.jinja")):
        prompt = read_prompt(path)
        named |= {template_hash(text): f"{PROMPTS}{path.stem}" for text in (prompt.body, prompt.system) if text}
    for line in before.splitlines():
        code, _, name = line.partition(" ")
        if code != "#" and name not in builtin_names() and not name.startswith(PROMPTS):
            named.setdefault(code, name)
    for name, source in sources.items():
        named.setdefault(template_hash(source), name)
    return "\n".join([HEAD, *(f"{code} {name}" for code, name in named.items())]) + "\n"


def main() -> None:
    """Writes the file."""
    sources = {path.stem: source for path in map(Path, sys.argv[1:]) if (source := source_of(path))}
    LIST.write_text(listed(LIST.read_text("utf-8"), sources), "utf-8")


if __name__ == "__main__":
    main()
