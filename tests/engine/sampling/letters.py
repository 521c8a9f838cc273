"""A vocabulary for samplers: token i prints a letter, unless pieces say otherwise."""

from collections.abc import Sequence


class Letters:
    """`n_vocab` tokens; `pieces` are the texts of the first ones."""

    add_bos = False

    def __init__(self, n_vocab: int, pieces: Sequence[str] = (), eog: Sequence[int] = ()) -> None:
        self.n_vocab, self.eog = n_vocab, frozenset(eog)
        self._pieces = [*pieces, *(chr(0x4E00 + i) for i in range(n_vocab - len(pieces)))]

    def piece_bytes(self, token: int) -> bytes:
        return self._pieces[token].encode()

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        """Greedy: the longest piece that fits."""
        ids: list[int] = []
        while text:
            fitting = [i for i, piece in enumerate(self._pieces) if text.startswith(piece)]
            if not fitting:
                return ids
            ids.append(max(fitting, key=lambda i: len(self._pieces[i])))
            text = text[len(self._pieces[ids[-1]]) :]
        return ids
