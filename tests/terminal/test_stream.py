"""Events from another thread: nothing is lost, Ctrl+C always answers."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llamachat.errors import Cancelled
from llamachat.terminal.stream import Stream, forget_stop, stop_streams


class Engine:
    """Remembers what it was told; `cancelled` lets a waiting producer go on."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.resumed = False

    def cancel(self) -> None:
        self.cancelled.set()

    def resume(self) -> None:
        self.resumed = True


def interrupted_items(engine: Engine) -> Iterator[str]:
    yield "first"
    engine.cancelled.wait()
    yield "last"


def consume(items: Iterator[Any], engine: Engine, use: Callable[[Any], object]) -> None:
    with Stream(items, engine) as stream:
        for item in stream:
            use(item)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_items_arrive_in_order_from_another_thread():
    threads = []

    def items() -> Iterator[int]:
        for number in range(1000):
            threads.append(threading.current_thread())
            yield number

    with Stream(items(), Engine()) as stream:
        assert list(stream) == list(range(1000))
    assert threading.main_thread() not in threads


def test_what_the_producer_raises_is_raised_after_its_items():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    got = []
    with pytest.raises(ValueError, match="broken"):
        consume(items(), Engine(), got.append)
    assert got == [1]


def test_ctrl_c_lets_the_producer_say_its_last_word():
    engine, got = Engine(), []
    with Stream(interrupted_items(engine), engine) as stream:
        for item in stream:
            got.append(item)
            if item == "first":
                press_ctrl_c()
    assert (got, stream.interrupted, engine.resumed) == (["first", "last"], True, True)


def test_cancelled_after_ctrl_c_just_ends_the_items():
    engine = Engine()

    def items() -> Iterator[str]:
        yield "first"
        engine.cancelled.wait()
        raise Cancelled("stopped")

    got = []
    with Stream(items(), engine) as stream:
        for item in stream:
            got.append(item)
            press_ctrl_c()
    assert got == ["first"]


def test_a_second_ctrl_c_is_raised():
    engine = Engine()
    with pytest.raises(KeyboardInterrupt):
        consume(interrupted_items(engine), engine, lambda _: (press_ctrl_c(), press_ctrl_c()))


def test_leaving_early_stops_the_producer():
    engine = Engine()

    def nobody_reads(item: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        consume(interrupted_items(engine), engine, nobody_reads)
    assert engine.cancelled.is_set()
    assert engine.resumed


def test_the_handler_of_ctrl_c_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with Stream(iter([1]), Engine()):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_the_block_is_left_does_not_leave_the_producer_behind():
    engine = Engine()

    def items() -> Iterator[str]:
        yield "first"
        engine.cancelled.wait()
        for _ in range(3):
            press_ctrl_c()
            time.sleep(0.01)

    stream = Stream(items(), engine)
    with stream:
        assert next(iter(stream)) == "first"
    assert not stream._thread.is_alive()
    assert engine.resumed


def test_what_runs_is_stopped_from_another_thread_as_by_one_ctrl_c():
    engine, got = Engine(), []
    with Stream(interrupted_items(engine), engine) as stream:
        for item in stream:
            got.append(item)
            if item == "first":
                for _ in range(2):
                    other = threading.Thread(target=stop_streams)
                    other.start()
                    other.join()
    assert (got, stream.interrupted, engine.resumed) == (["first", "last"], True, True)


def test_a_stop_that_comes_early_stops_the_next_and_no_other():
    for stops, forgets in ((True, False), (True, True), (False, False)):
        if stops:
            stop_streams()
        if forgets:
            forget_stop()
        engine = Engine()
        with Stream(iter(["item"]), engine) as stream:
            list(stream)
        assert stream.interrupted is (stops and not forgets)
