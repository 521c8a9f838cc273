"""Counts what becomes of the schemas of JSON-Schema-Test-Suite: refused, admitted wrongly, refused wrongly by the mask.

python tools/schema_suite.py FOLDER [-v]: FOLDER as tests/draft2020-12 of that suite.
An instance is written as `json.dumps` does it. A valid one may be refused where the grammar narrows by design: other
orders of properties are tried, and a number with a fraction of zero counts as what it is.
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamachat.engine.grammar import Constraint, GrammarSource
from llamachat.errors import LlamaChatError

MOST_ORDERS = 120


class Bytes:
    """A vocabulary of bytes."""

    n_vocab = 257
    eog = frozenset((256,))

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """The byte itself."""
        return bytes((token,)) if token < 256 else b""


def orders(value: Any) -> Iterator[Any]:
    """The value with its properties in other orders."""
    if isinstance(value, dict):
        for names in itertools.permutations(value):
            for parts in itertools.product(*(list(itertools.islice(orders(value[name]), 6)) for name in names)):
                yield dict(zip(names, parts, strict=True))
    elif isinstance(value, list):
        yield from map(list, itertools.product(*(list(itertools.islice(orders(one), 6)) for one in value)))
    else:
        yield int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53 else value


def accepts(constraint: Constraint, value: Any) -> bool:
    """Whether the grammar admits the value in some order."""
    found = itertools.islice(orders(value), MOST_ORDERS)
    return any(
        constraint.accepts(json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogatepass")) for one in found
    )


def tried(group: dict[str, Any], vocabulary: Bytes) -> Iterator[tuple[str, str]]:
    """What became of a schema and its instances: kind, details."""
    try:
        constraint = GrammarSource.json_schema(json.dumps(group["schema"])).constraint(vocabulary)
    except LlamaChatError as error:
        nothing = not any(test["valid"] for test in group["tests"])
        yield "refused, where nothing in the suite is valid" if nothing else "refused", str(error)
        return
    for test in group["tests"]:
        found = accepts(constraint, test["data"])
        if found != test["valid"]:
            yield "wrong admission" if found else "wrong refusal", f"{test['description']}: {json.dumps(test['data'])}"


def main() -> int:
    """Prints the counts; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-v", action="store_true", help="print each refusal and fault")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    for path in sorted(given.folder.rglob("*.json")):
        for group in json.loads(path.read_text("utf-8")):
            counts["schemas"] += 1
            for kind, details in tried(group, Bytes()):
                counts[kind] += 1
                if given.v:
                    print(
                        f"{kind}: {path.stem}: {group['description']}: {details}   {json.dumps(group['schema']):.300}"
                    )
    print(*(f"{n} {kind}" for kind, n in counts.items()), sep="\n")
    return int(bool(counts["wrong admission"] + counts["wrong refusal"]))


if __name__ == "__main__":
    sys.exit(main())
