"""The frames that a host and a board exchange over a serial line; docs/serial.md has them in words.

Framing is HDLC's for asynchronous lines (RFC 1662): ``0x7E``, content, ``0x7E``; inside, ``0x7E`` and ``0x7D`` become
``0x7D`` and the byte ^ 0x20. Content: kind, number, length of the payload (2 bytes), payload, CRC-16/X-25 of all that; numbers
low byte first. A flag ends a frame wherever it stands, so a damaged frame takes no other with it. The board's side is
``rtl_templates/dwn_deframe.v`` and ``dwn_enframe.v``.
"""

from __future__ import annotations

import binascii
import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20

#: Raised by one whenever an older host would misunderstand a newer board.
PROTOCOL = 1

#: Bytes of a result that hold clocks: from the last code that came in to the result.
CLOCK_BYTES = 3

#: Bytes that a board keeps for results; a power of two, larger where a single result needs it.
BUFFER = 512

#: Added to the kind of a request that is answered; kinds of refusals have :data:`REFUSED` as well.
REPLY, REFUSED = 0x80, 0xC0


class Kind(enum.IntEnum):
    """What a request asks."""

    RUN = 1  # payload: samples; reply: results
    IDENTIFY = 2  # reply: Layout.identity
    STATISTICS = 3  # reply: Statistics


class Refusal(enum.IntEnum):
    """Kinds of replies that refuse a frame."""

    DAMAGED = 0xC1  # wrong CRC, or silence in mid-frame
    LENGTH = 0xC2  # no whole number of samples, too many of them, or not the length that the frame states
    UNKNOWN = 0xC3  # a kind that the board does not know
    BUSY = 0xC4  # it came while a reply with a payload was under way
    OVERRUN = 0xC5  # codes came faster than the core takes them
    STALLED = 0xC6  # the core gave no result


@dataclass(frozen=True, slots=True)
class Frame:
    """The content of a frame whose CRC and length are right."""

    kind: int
    number: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a board has counted since its reset, each modulo 65,536."""

    answered: int
    damaged: int
    refused: int

    @classmethod
    def unpack(cls, payload: bytes) -> Statistics:
        """From the payload of a reply. Raises ValueError for another length."""
        if len(payload) != 6:
            raise ValueError(f"{len(payload)} bytes of statistics, not 6")
        return cls(*struct.unpack("<3H", payload))


@dataclass(frozen=True, slots=True)
class Layout:
    """What the payloads of an export look like: all that the shell's Verilog and a host must agree on. An
    :class:`dwn_hw.hardware.interface.Interface` has it.

    A sample is ``transfers`` of ``x_bits``, each in whole bytes; a result is ``y_bits`` in whole bytes, then clocks.
    """

    digest: str
    version: tuple[int, int, int]
    x_bits: int
    transfers: int
    y_bits: int

    @property
    def x_bytes(self) -> int:
        """Of a transfer."""
        return -(-self.x_bits // 8)

    @property
    def y_bytes(self) -> int:
        """Of a result without its clocks."""
        return -(-self.y_bits // 8)

    @property
    def sample_bytes(self) -> int:
        """In a request."""
        return self.x_bytes * self.transfers

    @property
    def result_bytes(self) -> int:
        """In a reply."""
        return self.y_bytes + CLOCK_BYTES

    @property
    def buffer(self) -> int:
        """Bytes that the board keeps for results: more than the largest reply has."""
        return max(BUFFER, 1 << self.result_bytes.bit_length())

    @property
    def batch(self) -> int:
        """Samples that a request may hold: their results fit the board's buffer, and the lengths their 16 bits."""
        return min(255, (self.buffer - 1) // self.result_bytes, max(1, 0xFFFF // self.sample_bytes))

    def identity(self) -> bytes:
        """What the board says of itself: ``DWN``, protocol, digest, version, then sizes."""
        sizes = (self.x_bits, self.transfers, self.y_bits, self.batch)
        return (
            b"DWN" + bytes([PROTOCOL]) + bytes.fromhex(self.digest) + bytes(self.version) + struct.pack("<4H", *sizes)
        )


def crc16(content: bytes) -> int:
    """CRC-16/X-25: polynomial 0x1021, reflected, from all ones, complemented."""
    mirrored = bytes(_MIRROR[byte] for byte in content)
    crc = binascii.crc_hqx(mirrored, 0xFFFF)
    return (_MIRROR[crc & 0xFF] << 8 | _MIRROR[crc >> 8]) ^ 0xFFFF


_MIRROR = tuple(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def encode(frame: Frame) -> bytes:
    """A frame as it goes over the line, its flags included."""
    content = struct.pack("<BBH", frame.kind, frame.number, len(frame.payload)) + frame.payload
    content += struct.pack("<H", crc16(content))
    escaped = content.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    return bytes([FLAG]) + escaped + bytes([FLAG])


class Decoder:
    """Frames out of bytes as they come in; what is no frame with a right CRC and length is counted and left out."""

    #: More bytes than any frame has: noise without a flag does not fill the memory.
    LONGEST = 2 * (1 << 16) + 32

    def __init__(self) -> None:
        self.damaged = 0
        self._held = bytearray()

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that ``received`` completes."""
        self._held += received
        *whole, rest = bytes(self._held).split(bytes([FLAG]))
        self._held = bytearray(rest[-self.LONGEST :])
        for piece in filter(None, whole):
            frame = _decode(piece)
            if frame is None:
                self.damaged += 1
            else:
                yield frame


def _decode(piece: bytes) -> Frame | None:
    """The frame between two flags, or None if it is damaged."""
    first, *escaped = piece.split(bytes([ESCAPE]))
    if not all(escaped):
        return None
    content = first + b"".join(bytes([part[0] ^ FLIP]) + part[1:] for part in escaped)
    if len(content) < 6 or crc16(content[:-2]) != int.from_bytes(content[-2:], "little"):
        return None
    kind, number, length = struct.unpack("<BBH", content[:4])
    return Frame(kind, number, content[4:-2]) if length == len(content) - 6 else None
