"""Damaged headers: every one opens, or is refused with one short printable line. `LLAMACHAT_FUZZ=N` sets how many.

A failure names its seed: `Random("<name> <chunk> <number>")` makes the same file again.
"""

import mmap
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_data import needed
from memory_peak import peak_memory
from mutations import mutate
from seeds import SEEDS

from llamachat.engine.gguf import GgufFile, open_gguf, parse
from llamachat.engine.models import describe
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import LlamaChatError

N_MUTATIONS = int(os.environ.get("LLAMACHAT_FUZZ", "20000"))
N_REAL = max(1, N_MUTATIONS // 100)
CHUNKS = range(4)
ARCHS = ["llama", "llama-yarn", "llama-tied", "gemma3", "gpt-oss"]
SOURCES = [*SEEDS, *ARCHS]
PER_CHUNK = -(-N_MUTATIONS // (len(SOURCES) * len(CHUNKS)))

PATH = Path("fuzz.gguf")
TEXT = "hello, hell\u00f6 <tool><|im_end|> \u6f22\U0001f999"
LONGEST_MESSAGE = 500
MOST_MEMORY = 512 << 20


def use(buffer: Any) -> None:
    """What happens to a file before the first token: read, described, its vocabulary used."""
    file = parse(buffer, PATH)
    for step in (read_everything, draw_graph, encode):
        try:
            step(file)
        except LlamaChatError as error:
            check_message(error)


def read_everything(file: GgufFile) -> None:
    for key in file.metadata:
        assert file.metadata[key] is not None
    assert all(len(tensor.data) == tensor.n_bytes for tensor in file.tensors.values())


def draw_graph(file: GgufFile) -> None:
    describe(file.metadata, file.tensors, PATH).graph()


def encode(file: GgufFile) -> None:
    tokenizer = Tokenizer.from_metadata(file.metadata)
    ids = tokenizer.encode(TEXT, parse_special=True)
    assert all(0 <= token < tokenizer.n_vocab for token in ids)
    tokenizer.decode(ids, special=True)


def check_message(error: LlamaChatError) -> None:
    assert str(error).isprintable(), f"the message is not one printable line: {str(error)[:LONGEST_MESSAGE]!r}"
    assert len(str(error)) < LONGEST_MESSAGE, f"the message is {len(str(error))} long: {str(error)[:200]}"


def attack(name: str, use_number: Callable[[random.Random], None], numbers: range) -> None:
    """Uses the damaged file of each number; anything but LlamaChatError fails the test, with the seed."""
    with peak_memory() as peak:
        for number in numbers:
            seed = f"{name} {number}"
            try:
                use_number(random.Random(seed))
            except LlamaChatError as error:
                check_message(error)
            except Exception as error:
                pytest.fail(f"Random({seed!r}): {type(error).__name__}: {str(error)[:300]}")
    assert peak.bytes < MOST_MEMORY


def header_size(file: GgufFile, content: Any) -> int:
    """Where the first tensor's data begin."""
    base = int(np.frombuffer(content, np.uint8).ctypes.data)
    return min(int(tensor.data.ctypes.data) for tensor in file.tensors.values()) - base


def content_of(source: str, request: pytest.FixtureRequest) -> bytes:
    if source in SEEDS:
        return SEEDS[source]()
    golden: Path = request.getfixturevalue("golden")
    return needed(golden / "archs" / f"{source}.gguf").read_bytes()


@pytest.mark.parametrize("source", SEEDS)
def test_the_undamaged_seed_is_a_whole_model(source: str) -> None:
    file = parse(SEEDS[source](), PATH)
    for step in (read_everything, draw_graph, encode):
        step(file)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_damaged_header_opens_or_is_refused_in_one_line(
    source: str, chunk: int, request: pytest.FixtureRequest
) -> None:
    content = content_of(source, request)
    size = header_size(parse(content, PATH), content)
    header, data = content[:size], content[size:]

    def damaged(rng: random.Random) -> None:
        whole = bytes(mutate(header, rng, lambda: rng.randrange(size))) + data
        use(whole if rng.random() < 0.9 else whole[: rng.randrange(len(whole))])

    attack(f"{source} {chunk}", damaged, range(PER_CHUNK))


@pytest.mark.real
@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("fixture", ["smollm2", "gemma3"])
def test_a_damaged_header_of_a_real_model_opens_or_is_refused_in_one_line(
    fixture: str, chunk: int, request: pytest.FixtureRequest
) -> None:
    file = open_gguf(request.getfixturevalue(fixture))
    size = header_size(file, file.mappings[0])
    header = bytes(file.mappings[0][:size])
    room = mmap.mmap(-1, file.n_bytes + (1 << 12))  # never touched beyond the header: costs no memory

    def damaged(rng: random.Random) -> None:
        # Half of the places in the scalars at the start and the tensor infos at the end, the rest anywhere.
        places = (lambda: rng.randrange(4096), lambda: size - 1 - rng.randrange(16_384), lambda: rng.randrange(size))
        whole = mutate(header, rng, rng.choice((*places, places[2])))
        room[: len(whole)] = bytes(whole)
        room[len(whole) : size + 4096] = bytes(size + 4096 - len(whole))
        n_bytes = file.n_bytes + len(whole) - size
        use(memoryview(room)[: n_bytes if rng.random() < 0.9 else rng.randrange(n_bytes)])

    attack(f"{fixture} {chunk}", damaged, range(-(-N_REAL // (2 * len(CHUNKS)))))
