"""The host driver against a line that fails in every way: it says what is wrong, never hangs, never gives a wrong answer.

The board is a thread on a pseudo-terminal that knows the frames and nothing else. Needs pyserial.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import threading
import time
import tty

import pytest
import serial

from dwn_hw.errors import BoardError, OptionError
from dwn_hw.fpga import serial_host
from dwn_hw.hardware.serial_frames import REPLY, Decoder, Frame, Kind, Layout, Refusal, encode

LAYOUT = Layout("0123456789abcdef", (0, 1, 0), 8, 1, 8)


class FakeBoard:
    """Answers each frame with the bytes that ``answer`` gives for it; its result of a sample is the sample + 1."""

    def __init__(self, answer=None):
        self.answer = answer or self.right
        self.asked = []
        self.terminal, device = pty.openpty()
        tty.setraw(device)
        self.device, self.name = device, os.ttyname(device)
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def right(self, frame):
        payload = {
            Kind.IDENTIFY: LAYOUT.identity(),
            Kind.STATISTICS: bytes(6),
            Kind.RUN: b"".join(bytes([(sample + 1) % 256, 4, 0, 0]) for sample in frame.payload),
        }[Kind(frame.kind)]
        return encode(Frame(frame.kind | REPLY, frame.number, payload))

    def work(self):
        decoder = Decoder()
        with contextlib.suppress(OSError):
            while True:
                for frame in decoder.feed(os.read(self.terminal, 4096)):
                    self.asked.append(frame)
                    os.write(self.terminal, self.answer(frame))

    def unplug(self):
        os.close(self.terminal)
        self.terminal = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.device)  # with the last open end of the line its other end fails, and the thread is done
        self.thread.join(10)
        if self.terminal >= 0:
            os.close(self.terminal)


def samples(count):
    return [bytes([i % 256]) for i in range(count)]


def run(board, count=600, **options):
    with serial_host.open_line(board.name) as line:
        driver = serial_host.BoardLink(line, LAYOUT, patience=0.2, **options)
        driver.check()
        return driver.run(samples(count)), driver


def test_samples_go_in_batches_and_their_results_come_in_order():
    told = []
    with FakeBoard() as board, serial_host.open_line(board.name) as line:
        results = serial_host.BoardLink(line, LAYOUT).run(samples(600), told.append)
    assert results == [bytes([(i + 1) % 256, 4, 0, 0]) for i in range(600)]
    assert told == [127, 254, 381, 508, 600]
    assert [len(frame.payload) for frame in board.asked] == [127, 127, 127, 127, 92]
    assert len({frame.number for frame in board.asked}) == 5


def test_a_port_that_takes_no_bytes_is_an_error_and_no_hang(monkeypatch):
    monkeypatch.setattr(serial_host, "STUCK", 0.2)
    other, device = pty.openpty()  # nobody reads
    tty.setraw(device)
    with serial_host.open_line(os.ttyname(device)) as line, pytest.raises(BoardError, match="none taken in time"):
        serial_host.BoardLink(line, LAYOUT, patience=0.1).ask(Kind.RUN, bytes(8_000))
    os.close(device)
    os.close(other)


FAILURES = {
    "a refusal": lambda frame: encode(Frame(Refusal.BUSY, frame.number)),
    "a refusal of another number": lambda frame: encode(Frame(Refusal.DAMAGED, frame.number ^ 8)),
    "nothing": lambda frame: b"",
    "noise": lambda frame: b"\x00\xff~noise~\x7d~",
    "a cut reply": lambda frame: encode(Frame(frame.kind | REPLY, frame.number, bytes(8)))[:-4],
    "the reply to another request": lambda frame: encode(Frame(Kind.RUN | REPLY, frame.number ^ 1, bytes(600))),
    "a reply of another kind": lambda frame: encode(Frame(0x90, frame.number, bytes(23))),
    "a reply of another length": lambda frame: encode(Frame(Kind.RUN | REPLY, frame.number, bytes(7))),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_request_that_gets_something_else_than_its_reply_is_sent_again(what):
    board = FakeBoard()
    right = board.right
    seen = []

    def sometimes(frame):
        seen.append(frame)
        return FAILURES[what](frame) if frame.kind == Kind.RUN and len(seen) % 2 else right(frame)

    board.answer = sometimes
    with board:
        results, driver = run(board)
    assert results == [bytes([(i + 1) % 256, 4, 0, 0]) for i in range(600)]
    assert driver.refused + driver.unanswered == driver.sent - 6 > 0


def test_a_core_that_is_slower_than_the_line_gets_smaller_batches():
    board = FakeBoard()
    right = board.right
    board.answer = lambda frame: (
        encode(Frame(Refusal.OVERRUN, frame.number))
        if frame.kind == Kind.RUN and len(frame.payload) > 9
        else right(frame)
    )
    with board:
        results, driver = run(board, count=50)
    assert results == [bytes([(i + 1) % 256, 4, 0, 0]) for i in range(50)]
    assert [len(frame.payload) for frame in board.asked[1:]] == [50, 25, 12, *[6] * 8, 2]
    assert driver.refused == 3


def test_a_reply_that_comes_twice_or_late_is_never_taken_for_another():
    """Every reply comes twice, the second time while the next request waits."""
    board = FakeBoard()
    right = board.right
    board.answer = lambda frame: right(frame) * 2
    with board:
        results, driver = run(board)
    assert results == [bytes([(i + 1) % 256, 4, 0, 0]) for i in range(600)]
    assert driver.sent == 6


def refused(board, **options):
    with pytest.raises(BoardError) as caught:
        run(board, attempts=3, **options)
    return str(caught.value)


def test_a_board_that_says_nothing_is_given_up_soon():
    started = time.monotonic()
    with FakeBoard(lambda frame: b"") as board:
        assert "an answer to one of 3 requests; got no answer. Is the board on" in refused(board)
        assert len(board.asked) == 3
    assert time.monotonic() - started < 10


def test_garbage_is_said_to_be_garbage():
    with FakeBoard(lambda frame: b"U" * 50) as board:
        assert "bytes that are no frames. Another baud rate than 115200" in refused(board)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [(Refusal.LENGTH, "of a wrong length"), (Refusal.STALLED, "the core gave no result"), (Refusal.OVERRUN, "faster")],
)
def test_refusals_to_the_end_are_named(refusal, words):
    with FakeBoard(lambda frame: encode(Frame(refusal, frame.number))) as board:
        assert words in refused(board)


def test_a_cable_that_is_unplugged_is_said():
    board = FakeBoard()
    right = board.right

    def unplugged(frame):
        if frame.kind == Kind.IDENTIFY:
            return right(frame)
        board.unplug()
        return b""

    board.answer = unplugged
    with board:
        assert "a port that stays open" in refused(board)


def other_identity(change):
    identity = bytearray(LAYOUT.identity())
    change(identity)
    board = FakeBoard()
    right = board.right
    board.answer = lambda frame: (
        encode(Frame(frame.kind | REPLY, frame.number, bytes(identity)))
        if frame.kind == Kind.IDENTIFY
        else right(frame)
    )
    return board


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (0, "an identity of another kind"),
        (3, "protocol 0"),
        (4, "network 00"),
        (12, "by another version"),
        (15, "formats"),
    ],
)
def test_another_board_is_refused_before_any_sample_is_sent(at, words):
    def change(identity):
        identity[at] = 0 if identity[at] else 1

    def change_digest(identity):
        identity[4:12] = bytes(8)

    with other_identity(change_digest if at == 4 else change) as board:
        assert words in refused(board)
        assert {frame.kind for frame in board.asked} == {Kind.IDENTIFY}


def message(port, **options):
    with pytest.raises(OptionError) as caught, serial_host.open_line(port, **options):
        raise AssertionError("it was opened")
    return str(caught.value)


def test_a_port_that_is_not_there_is_said_with_those_that_are():
    assert "/dev/ttyNONE7: a serial port; got nothing there. There are: " in message("/dev/ttyNONE7")


def test_a_port_in_use_is_said():
    with FakeBoard() as board, serial_host.open_line(board.name):
        assert "a free port; got one in use by another program. Close that program." in message(board.name)


def test_a_file_that_is_no_port_is_said(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    assert f"{path}: a serial port; got " in message(str(path))


def test_a_port_that_may_not_be_opened_comes_with_the_udev_rule(monkeypatch):
    def denied(*arguments, **options):
        raise serial.SerialException(errno.EACCES, "could not open port /dev/ttyUSB0: Permission denied")

    monkeypatch.setattr(serial, "Serial", denied)
    said = message("/dev/ttyUSB0")
    assert "got permission denied" in said
    assert "usermod -aG dialout" in said
    assert 'SUBSYSTEM=="tty"' in said
