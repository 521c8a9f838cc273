"""Writes docs/models.md, the supported architectures, from the files of families and the golden models.

Also `llamachat/engine/models/features.json`, which `llamachat show --architectures` reads, and the README's counts and
list. python tools/make_models_docs.py [--check]: with --check it writes nothing, and exits with 1 if a file differs.
The golden models (../shared/golden) are needed for features and for how each was verified.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
FAMILIES = ROOT / "llamachat" / "engine" / "models" / "families"
DOCUMENT, README = ROOT / "docs" / "models.md", ROOT / "README.md"
LONGEST = 60
LONGER = ("deepseek2", "falcon_h1", "gemma4", "jamba", "lfm2", "qwen35", "t5")
"""Families that may have more lines: latent attention, an embedding for each layer, an encoder, hybrids."""

REAL: Mapping[str, str] = {
    "llama": "SmolLM2 135M",
    "gemma3": "Gemma 3 270M",
    "qwen2": "Qwen2.5-Coder 0.5B",
    "bert": "all-MiniLM-L6-v2",
}
"""Real models whose reference results are in the golden data."""

HEAD = """# Supported models

Made by `python tools/make_models_docs.py` from the files of families and the golden models; a test compares the two.
`llamachat show --architectures` lists the same. The name of an architecture is `general.architecture` of a file,
which `llamachat show FILE` prints. Any other one is refused by name, and so is a tensor or a setting of a file that is
not known.

- **Lines**: of the family's file in `llamachat/engine/models/families/`, without its docstring, its table of tensors
  and blank lines.
- **Verified**: golden models with random weights that were compared with llama.cpp's logits (NMSE at most 1e-8 in F32;
  as one batch, in pieces, token by token, beside other sequences and with 1, 2, 3 threads equal to the bit; quantised
  to Q8_0 and Q4_K within bounds), and with a float64 reference. "Random models" are made by the tests and compared with
  some of llama.cpp's logits. "Real": a real model was compared, too.
- **Refused**: operations on a context that are refused with the reason; [architecture.md](architecture.md) says what
  they are. After a refusal what is needed is evaluated anew.
"""


@dataclass
class Family:
    """A file of families/: {architecture: models}, features, and golden models with what is refused for them.

    random: whether random models of it are compared with logits of llama.cpp.
    """

    name: str
    models: dict[str, str] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    golden: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    random: bool = False


def lines_of(path: Path) -> int:
    """Lines of a family's file but for its docstring, texts of several lines (tables of tensors) and blank ones."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    left_out = [tree.body[0]] if ast.get_docstring(tree) is not None else []
    assigned = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    left_out += [node for node in assigned if isinstance(node.value, ast.JoinedStr | ast.Constant)]
    gone = {n for node in left_out if (node.end_lineno or 0) > node.lineno for n in _lines_of(node)}
    return sum(1 for n, line in enumerate(text.splitlines(), 1) if line.strip() and n not in gone)


def _lines_of(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def families() -> dict[str, Family]:
    """All of them by the names of their files."""
    from llamachat.engine.models import architectures, module_of

    found: dict[str, Family] = {}
    for name, models in architectures().items():
        found.setdefault(module_of(name), Family(module_of(name))).models[name] = models
    return found


def features(all_families: Mapping[str, Family]) -> dict[str, list[str]]:
    """{architecture: features} of the golden models, which are noted in the families."""
    from llamachat.engine.gguf import open_gguf
    from llamachat.engine.models import describe, module_of
    from llamachat.engine.models.features import FEATURES, features_of
    from llamachat.errors import Unsupported

    golden, operations = (importlib.import_module(name) for name in ("golden_models", "context_operations"))
    seen = _of_random_models(all_families)
    for name in golden.NAMES:
        file = open_gguf(golden.FOLDER / f"{name}.gguf")
        try:
            spec = describe(file.metadata, file.tensors)
        except Unsupported:
            continue
        family = all_families[module_of(spec.architecture)]
        family.golden.append(name)
        seen.setdefault(spec.architecture, set()).update(features_of(spec.graph().nodes))
        for row in operations.ROWS:
            if name in row.models and not row.self_extend and not row.n_more:
                family.refused += [one for one in row.refused if one not in family.refused]
    ordered = {name: [one for one in FEATURES if one in seen.get(name, ())] for family in all_families.values()
               for name in family.models}  # fmt: skip
    for family in all_families.values():
        own = {one for name in family.models for one in ordered[name]}
        family.features = [one for one in FEATURES if one in own]
        for name in family.models:
            ordered[name] = ordered[name] or family.features
    return dict(sorted(ordered.items()))


def _of_random_models(all_families: Mapping[str, Family]) -> dict[str, set[str]]:
    """{architecture: features} of the random models that have no golden files, which are noted in the families."""
    from llamachat.engine.gguf import open_gguf
    from llamachat.engine.models import describe, module_of
    from llamachat.engine.models.features import features_of

    random, seen = importlib.import_module("random_models"), dict[str, set[str]]()
    with tempfile.TemporaryDirectory() as folder:
        for name in (*random.TINY, *random.ENCODERS):
            file = open_gguf(random.write_tiny(Path(folder) / "tiny.gguf", name))
            spec = describe(file.metadata, file.tensors)
            all_families[module_of(spec.architecture)].random = True
            seen.setdefault(spec.architecture, set()).update(features_of(spec.graph().nodes))
    return seen


def document(all_families: Mapping[str, Family]) -> str:
    """docs/models.md."""
    names = [name for family in all_families.values() for name in family.models]
    return "\n".join([HEAD, f"{len(names)} architectures in {len(all_families)} families.\n", *_rows(all_families), ""])


def _rows(all_families: Mapping[str, Family]) -> Iterator[str]:
    yield "| architectures | models | features | lines | verified | refused |"
    yield "| --- | --- | --- | ---: | --- | --- |"
    for family in all_families.values():
        names = ", ".join(f"`{name}`" for name in family.models)
        models = "; ".join(dict.fromkeys(family.models.values()))
        own = [*family.golden, *(["random models"] if family.random else [])]
        verified = ", ".join(own) or "once against llama.cpp, by hand"
        real = "; ".join(f"real: {REAL[name]}" for name in family.models if name in REAL)
        cells = (names, models, ", ".join(family.features), str(lines_of(FAMILIES / f"{family.name}.py")))
        yield f"| {' | '.join(cells)} | {'; '.join(filter(None, (verified, real)))} | {', '.join(family.refused)} |"


def readme(text: str, all_families: Mapping[str, Family]) -> str:
    """The README with its count of architectures and block formats, and its list of architectures."""
    from llamachat.engine.quants import FORMATS

    names = sorted(name for family in all_families.values() for name in family.models)
    row = f"| architectures, block formats | {len(names)}, {len(FORMATS)} |"
    text = re.sub(r"\| architectures, block formats \| [^|]* \|", row, text)
    listed = ", ".join(f"`{name}`" for name in names)
    return re.sub(r"(<!-- architectures -->\n).*?(\n<!-- architectures -->)", rf"\g<1>{wrapped(listed)}\g<2>", text,
                  flags=re.DOTALL)  # fmt: skip


def wrapped(text: str) -> str:
    """In lines of at most 120 columns."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) >= 120:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def written() -> dict[Path, str]:
    """{file: its text}."""
    from llamachat.engine.models import features as module

    found = families()
    data = features(found)
    target = Path(str(module.__file__)).with_name(module.DATA)
    lines = [f"{json.dumps(name)}: {json.dumps(data[name])}" for name in data]
    return {
        target: "{\n" + ",\n".join(lines) + "\n}\n",
        DOCUMENT: document(found),
        README: readme(README.read_text("utf-8"), found),
    }


def main(arguments: list[str]) -> int:
    """Writes or compares the files."""
    different = {path: text for path, text in written().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in different.items():
        if "--check" not in arguments:
            path.write_text(text, "utf-8")
        print(path.relative_to(ROOT))
    return int(bool(different) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
