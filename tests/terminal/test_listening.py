"""Keys that are typed while an answer is written: when nobody reads them any more."""

import os
import sys
import threading
from collections.abc import Iterator

import pytest

from llamachat.terminal.listening import Listener, take_received


class _Keyboard:
    def __init__(self) -> None:
        self.end, self._typed = os.pipe()

    def fileno(self) -> int:
        return self.end

    def type(self, keys: bytes) -> None:
        os.write(self._typed, keys)

    def close(self) -> None:
        os.close(self.end)
        os.close(self._typed)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Keyboard]:
    made = _Keyboard()
    monkeypatch.setattr(sys, "stdin", made)
    yield made
    take_received()
    made.close()


def test_an_interrupt_is_raised_when_nobody_reads_any_more(keyboard: _Keyboard) -> None:
    stopped, ended, interrupts = threading.Event(), threading.Event(), iter([True, True])

    def stop() -> None:
        stopped.set()
        ended.wait(10)

    listener = Listener(stop)
    listener.begin()
    keyboard.type(b"\x1b")
    assert stopped.wait(10)
    wait = listener._ended.wait

    def interrupted(timeout: float | None = None) -> bool:
        if next(interrupts, False):
            raise KeyboardInterrupt
        ended.set()
        return wait(timeout)

    listener._ended.wait = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        listener.end()
    assert listener._ended.is_set()
    listener.end()
    keyboard.type(b"later")
    assert take_received() == []
    assert os.read(keyboard.end, 5) == b"later"


def test_it_reads_again_after_an_end(keyboard: _Keyboard) -> None:
    keyboard.type(b"a\x1b")
    for _ in range(2):
        stopped = threading.Event()
        listener = Listener(stopped.set)
        for _ in range(2):
            listener.begin()
            assert stopped.wait(10)
            listener.end()
            take_received()
            stopped.clear()
            keyboard.type(b"b\x1b")
