"""Prints llamachat/templates/known.txt: the templates and prompts of this package, and those in FILES.

python tools/known_templates.py FILE.jinja ... MODEL.gguf ... > llamachat/templates/known.txt
"""

import sys
from pathlib import Path

from llamachat.cli.prompt_library.places import shipped_folder
from llamachat.cli.prompt_library.reading import read_prompt
from llamachat.engine.gguf import open_gguf
from llamachat.templates.named import builtin_names, builtin_template
from llamachat.templates.program import template_hash

HEAD = "# Hashes of templates that were read and may run in the program's own process (tools/known_templates.py)."


def source_of(path: Path) -> str:
    """The chat template in a file; "" where a model has none."""
    if path.suffix == ".gguf":
        return str(open_gguf(path).metadata.get("tokenizer.chat_template", ""))
    return path.read_text(encoding="utf-8")


def main() -> None:
    """Prints a line for each template: its hash and its name."""
    named = {template_hash(builtin_template(name)): name for name in builtin_names()}
    for path in sorted(shipped_folder().glob("*.jinja")):
        prompt = read_prompt(path)
        named |= {template_hash(text): f"prompts/{path.stem}" for text in (prompt.body, prompt.system) if text}
    for path in map(Path, sys.argv[1:]):
        if source := source_of(path):
            named.setdefault(template_hash(source), path.stem)
    print("\n".join([HEAD, *(f"{code} {name}" for code, name in named.items())]))


if __name__ == "__main__":
    main()
