"""What a file is that should be a model and is not: the sentence for a person who has just fetched it."""

MAGIC = b"GGUF"
FETCH_AGAIN = "fetch it again"
INCOMPLETE = "the file is incomplete (a broken download?)"
EMPTY = f"the file is empty (a broken download?); {FETCH_AGAIN}"

_PAGE = "a web page, not a model: the address of the file itself is needed (at Hugging Face .../resolve/main/NAME.gguf)"
_CONVERT = "not a GGUF file but {}; fetch the model as GGUF, or convert it with llama.cpp"
_OLD = _CONVERT.format("in a format that llama.cpp had before GGUF")

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself: `git lfs pull` fetches that"),
    (b"<!doctype", _PAGE),
    (b"<html", _PAGE),
    (b"<?xml", "an XML message of a server, not a model; look at it, and fetch the file again"),
    (b"{", "a JSON message of a server or a configuration, not a model; look at it, and fetch the file again"),
    (b"pk\x03\x04", _CONVERT.format("a zip archive, as PyTorch writes them")),
    (b"\x80\x02", _CONVERT.format("a Python pickle, as PyTorch writes them")),
    (b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (b"\xfd7zxz", "compressed with xz: unpack it first"),
    *((beginning, _OLD) for beginning in (b"lmgg", b"ggml", b"fmgg", b"ggmf", b"tjgg", b"ggjt", b"algg", b"ggla")),
)
"""How other files begin, in small letters, and what is said of them."""


def unlike(head: bytes) -> str:
    """What a file is that begins with these bytes, at least 16 of a longer file, and not with those of a model."""
    if not head:
        return EMPTY
    if len(head) < len(MAGIC) and MAGIC.startswith(head):
        return f"{INCOMPLETE}: it has {len(head)} bytes; {FETCH_AGAIN}"
    if not any(head):
        return f"{INCOMPLETE}: it begins with zero bytes; {FETCH_AGAIN}"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head[8:9] == b"{":
        return _CONVERT.format("a safetensors file")
    for beginning, said in _BEGINNINGS:
        if start.startswith(beginning):
            return said
    return "not a GGUF file (it does not begin with the letters GGUF)"
