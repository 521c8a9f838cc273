"""A vocabulary of all bytes, some longer tokens that do not end where characters do, and control tokens."""

CONTROL, END, OTHER_END, UNUSED = range(256, 260)
PARTS = (b"a\xf0\x9f", b"\xa9\xc3", b"\x98\x80a")
LONGER = (b"ab", b"abc", b'{"', b'":', b'", "', b"true", b"  ", b"\n  ", b"12", *PARTS)


class ByteVocabulary:
    """Token i is the byte i; then a control token, two end tokens, an unused one, and the longer ones."""

    def __init__(self) -> None:
        self._pieces = [bytes([i]) for i in range(256)] + [b"", b"</s>", b"", b"", *LONGER]
        self.n_vocab = len(self._pieces)
        self.eog = frozenset((END, OTHER_END))

    def piece_bytes(self, token: int) -> bytes:
        return self._pieces[token]
