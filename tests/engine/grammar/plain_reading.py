"""What a grammar admits by its definition: all the ways through its tree are tried. Slow, and hard to get wrong."""

from llamachat.engine.grammar.syntax import Chars, Choice, Literal, Node, Reference, Repeat, Rules, Sequence


def admits(rules: Rules, text: str) -> bool:
    """Whether the whole text is one of the grammar's."""
    return len(text) in _Reading(rules, text).ends(rules["root"], 0)


class _Reading:
    def __init__(self, rules: Rules, text: str) -> None:
        self._rules, self._text = rules, text
        self._known: dict[tuple[Node, int], frozenset[int]] = {}

    def ends(self, node: Node, start: int) -> frozenset[int]:
        """Where a text of `node` that begins at `start` may end."""
        if (node, start) not in self._known:
            self._known[node, start] = frozenset(self._ends(node, start))
        return self._known[node, start]

    def _ends(self, node: Node, start: int) -> set[int] | frozenset[int]:
        match node:
            case Literal(text):
                return {start + len(text)} if self._text.startswith(text, start) else set()
            case Chars(ranges):
                here = self._text[start : start + 1]
                return {start + 1} if here and any(a <= ord(here) <= b for a, b in ranges) else set()
            case Sequence(parts):
                found = {start}
                for part in parts:
                    found = {end for one in found for end in self.ends(part, one)}
                return found
            case Choice(options):
                return {end for option in options for end in self.ends(option, start)}
            case Reference(name):
                return self.ends(self._rules[name], start)
            case Repeat(body, least, most):
                return self._rounds(body, least, len(self._text) + least + 1 if most is None else most, start)

    def _rounds(self, body: Node, least: int, most: int, start: int) -> set[int]:
        now, found = {start}, {start} if least == 0 else set()
        for n in range(1, most + 1):
            now = {end for one in now for end in self.ends(body, one)}
            if n >= least:
                if now <= found:
                    break
                found |= now
        return found
