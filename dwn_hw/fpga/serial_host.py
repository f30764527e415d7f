"""The host's side of the serial line: what `dwn-hw run` does, and the one door to pyserial.

A request is sent again, under a new number, until its own reply has come, or too often: what is damaged, refused, late or
doubled on the line costs time and never an answer. A board is asked first which network it holds.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import serial

from dwn_hw._json import Document
from dwn_hw.errors import BoardError, OptionError, Problem
from dwn_hw.hardware import serial_frames
from dwn_hw.hardware.serial_frames import Frame, Kind, Layout, Refusal, Statistics

#: Times that a request is sent before the board is given up.
ATTEMPTS = 8

#: Seconds that a reply may take beside its time on the line.
PATIENCE = 1.0

#: Seconds that are still waited, beside the bytes' time, once a refusal or a damaged reply may have been the answer.
GRACE = 0.03

#: Seconds after which a port that takes no bytes is stuck; a busy machine may be slow to take them.
STUCK = 5.0

_LINE_FAILED = (serial.SerialException, OSError)

_WHY = {
    Refusal.DAMAGED: "damaged on the line",
    Refusal.LENGTH: "of a wrong length",
    Refusal.UNKNOWN: "of a kind that the board does not know",
    Refusal.BUSY: "while the board was answering",
    Refusal.OVERRUN: "faster than the core takes codes",
    Refusal.STALLED: "and the core gave no result",
}


@contextlib.contextmanager
def open_line(port: str, baud: int = 115_200) -> Iterator[serial.Serial]:
    """The serial port, for this process alone. Raises OptionError with what keeps it from being opened."""
    try:
        line = serial.Serial(port, baud, timeout=0, exclusive=True)
    except ValueError:
        raise OptionError(Problem("--baud", "a rate that the port has", f"{baud}", "Try 115200.")) from None
    except _LINE_FAILED as error:
        raise OptionError(_not_opened(port, error)) from None
    try:
        yield line
    finally:
        with contextlib.suppress(*_LINE_FAILED):
            line.close()


def _not_opened(port: str, error: Exception) -> Problem:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return Problem(port, "a serial port", "nothing there", f"There are: {', '.join(_ports()) or 'none'}.")
    if number in (errno.EACCES, errno.EPERM):
        remedy = "Join its group (sudo usermod -aG dialout $USER, then log in again), or let udev open it to you: "
        remedy += """SUBSYSTEM=="tty", ATTRS{idVendor}=="0403", TAG+="uaccess" in /etc/udev/rules.d/60-board.rules."""
        return Problem(port, "a port that you may open", "permission denied", remedy)
    if number in (errno.EBUSY, errno.EAGAIN):
        return Problem(port, "a free port", "one in use by another program", "Close that program.")
    if number in (errno.ENOTTY, errno.EISDIR) or "ioctl" in str(error):
        return Problem(port, "a serial port", "something else", "Give the device of a serial line, say /dev/ttyUSB1.")
    return Problem(port, "a serial port", str(error), "Give the device of a serial line, say /dev/ttyUSB1.")


def _ports() -> list[str]:
    from serial.tools import list_ports

    return sorted(found.device for found in list_ports.comports())


class _Overrun(BoardError):
    """The core is slower than the line."""


@dataclass(slots=True)
class BoardLink:
    """A board on an open ``line`` that should hold an export of this ``layout``.

    ``patience``: seconds beside the bytes' own time on the line; a simulated board is slower than its line. ``sent``,
    ``refused``, ``unanswered``, ``late``: requests, and of those the ones that were refused, got no answer or a damaged one, or
    got one too late.
    """

    line: serial.Serial
    layout: Layout
    patience: float = PATIENCE
    attempts: int = ATTEMPTS
    sent: int = 0
    refused: int = 0
    unanswered: int = 0
    late: int = 0
    _decoder: serial_frames.Decoder = field(default_factory=serial_frames.Decoder)
    _received: int = 0
    _frames: int = 0

    def check(self) -> None:
        """Raise BoardError unless the board holds this very export."""
        found, wanted = self.ask(Kind.IDENTIFY, b""), self.layout.identity()
        if found == wanted:
            return
        rule = f"a board that holds network {self.layout.digest}"
        remedy = "Program this export, or give the directory of the one that the board holds."
        if found[:3] != wanted[:3] or len(found) != len(wanted):
            raise BoardError(Problem(self.line.name, rule, f"an identity of another kind ({found.hex()})", remedy))
        if found[3] != wanted[3]:
            got = f"protocol {found[3]}, while this host speaks {wanted[3]}"
        elif found[4:12] != wanted[4:12]:
            got = f"network {found[4:12].hex()}"
        else:
            got = "the same network exported in another way or by another version (formats or shell differ)"
        raise BoardError(Problem(self.line.name, rule, got, remedy))

    def statistics(self) -> Statistics:
        """What the board has counted since its reset."""
        return Statistics.unpack(self.ask(Kind.STATISTICS, b"", expect=6))

    def run(self, samples: list[bytes], progress: Callable[[int], None] = lambda done: None) -> list[bytes]:
        """The result of each sample, each as :class:`Layout` says; ``progress`` is told how many there are."""
        results: list[bytes] = []
        size, most = self.layout.result_bytes, self.layout.batch
        while len(results) < len(samples):
            batch = samples[len(results) : len(results) + most]
            try:
                reply = self.ask(Kind.RUN, b"".join(batch), expect=size * len(batch))
            except _Overrun:
                if most == 1:
                    raise
                most = max(1, len(batch) // 2)  # a core that takes long has a pause after each reply
                continue
            results += [reply[at : at + size] for at in range(0, len(reply), size)]
            progress(len(results))
        return results

    def ask(self, kind: Kind, payload: bytes, expect: int | None = None) -> bytes:
        """The payload of the reply to a request, of ``expect`` bytes where that is known. Raises BoardError."""
        refusal = None
        for _ in range(self.attempts):
            reply = self._attempt(kind, payload, expect)
            if reply is not None and reply.kind == kind | serial_frames.REPLY:
                return reply.payload
            if reply is None:
                self.unanswered += 1
            else:
                self.refused += 1
                refusal = Refusal(reply.kind)
            if refusal is Refusal.OVERRUN:  # it would be so again
                raise _Overrun(self._silence(refusal))
        raise BoardError(self._silence(refusal))

    def _attempt(self, kind: Kind, payload: bytes, expect: int | None) -> Frame | None:
        """Send once: the reply, a refusal, or None if there was no answer in time, or a damaged one."""
        self.sent += 1
        number = self.sent % 256
        request = serial_frames.encode(Frame(kind, number, payload))
        bits = 10 * 2 * (len(request) + (expect or 64))  # each byte may be escaped
        self._write(request)
        damaged, doubt = self._decoder.damaged, None
        deadline = time.monotonic() + self.patience + 2 * bits / self.line.baudrate
        while time.monotonic() < deadline:
            for frame in self._read():
                own = frame.number == number
                if own and frame.kind == kind | serial_frames.REPLY and expect in (None, len(frame.payload)):
                    return frame
                if frame.kind in _WHY and own:
                    return frame
                if frame.kind == Refusal.DAMAGED:
                    doubt = frame
                else:
                    self.late += 1
            # The number of a damaged request may be damaged too, and a reply may be: but perhaps those were older ones.
            if doubt is not None or self._decoder.damaged > damaged:
                deadline = min(deadline, time.monotonic() + GRACE + bits / self.line.baudrate)
                damaged = self._decoder.damaged
        return doubt

    def _write(self, request: bytes) -> None:
        with self._plugged():
            self.line.write_timeout = max(self.patience, STUCK) + 20 * len(request) / self.line.baudrate
            self.line.write(request)

    def _read(self) -> list[Frame]:
        with self._plugged():
            self.line.timeout = 0.01
            received = self.line.read(1)
            received += self.line.read(self.line.in_waiting) if received else b""
        self._received += len(received)
        found = list(self._decoder.feed(received))
        self._frames += len(found)
        return found

    @contextlib.contextmanager
    def _plugged(self) -> Iterator[None]:
        try:
            yield
        except serial.SerialTimeoutException:
            remedy = "Look for flow control that is on, or a cable that is loose."
            raise BoardError(Problem(self.line.name, "a line that takes bytes", "none taken in time", remedy)) from None
        except (*_LINE_FAILED, TypeError) as error:  # TypeError: pyserial's, of a port that was closed meanwhile
            remedy = "Plug the board in again, and begin again."
            raise BoardError(Problem(self.line.name, "a port that stays open", f"{error}", remedy)) from None

    def _silence(self, refusal: Refusal | None) -> Problem:
        """What came instead of an answer."""
        rule = f"an answer to one of {self.attempts} requests"
        if refusal is not None:
            remedy = "Look at cable, ground and baud rate, or use a slower one."
            return Problem(self.line.name, rule, f"refusals: the request came {_WHY[refusal]}", remedy)
        if self._received and not self._frames:
            remedy = f"Another baud rate than {self.line.baudrate} or another design on the board does that."
            return Problem(self.line.name, rule, f"{self._received} bytes that are no frames", remedy)
        remedy = "Is the board on, programmed with this export, and is this its port?"
        return Problem(self.line.name, rule, "no answer", remedy)


def describe(board: BoardLink, counted: Statistics) -> Document:
    """What happened on the line, as plain values."""
    return {
        "requests": board.sent,
        "refused": board.refused,
        "unanswered": board.unanswered,
        "late": board.late,
        "board": {"answered": counted.answered, "damaged": counted.damaged, "refused": counted.refused},
    }
