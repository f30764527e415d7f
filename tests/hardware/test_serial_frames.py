"""Frames: what is sent comes back, damage is never taken for a frame, and takes no good frame with it. Needs nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwn_hw.hardware import serial_frames
from dwn_hw.hardware.serial_frames import Decoder, Frame, Kind, Layout, Refusal, Statistics, crc16, encode

contents = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300))


def bitwise_crc(content):
    """CRC-16/X-25 by its definition: a division, one bit at a time."""
    register = 0xFFFF
    for byte in content:
        for bit in range(8):
            register, out = register >> 1, (register ^ byte >> bit) & 1
            register ^= 0x8408 * out
    return register ^ 0xFFFF


def test_the_crc_is_that_of_the_catalogue():
    assert crc16(b"123456789") == 0x906E


@given(st.binary(max_size=200))
def test_the_crc_is_the_division_bit_by_bit(content):
    assert crc16(content) == bitwise_crc(content)


@given(st.lists(contents, max_size=6), st.integers(1, 40))
def test_frames_come_back_however_the_bytes_are_cut(sent, size):
    line = b"".join(map(encode, sent))
    decoder, got = Decoder(), []
    for at in range(0, len(line), size):
        got += decoder.feed(line[at : at + size])
    assert got == sent
    assert decoder.damaged == 0


@given(contents)
def test_inside_a_frame_no_byte_is_a_flag(frame):
    line = encode(frame)
    assert line[0] == line[-1] == serial_frames.FLAG
    assert serial_frames.FLAG not in line[1:-1]


@given(contents, contents, st.binary(max_size=40))
def test_noise_between_frames_costs_neither(before, after, noise):
    decoder = Decoder()
    got = list(decoder.feed(encode(before) + noise + encode(after)))
    assert got[0] == before
    assert got[-1] == after


@given(contents, contents, st.data())
def test_a_frame_that_is_cut_is_refused_and_the_next_is_not(cut, whole, data):
    line = encode(cut)
    kept = data.draw(st.integers(2, len(line) - 2))
    decoder = Decoder()
    assert list(decoder.feed(line[:kept] + encode(whole))) == [whole]
    assert decoder.damaged == 1


@given(contents, st.data())
def test_a_few_flipped_bits_are_never_a_frame(frame, data):
    """Any three flipped bits change the CRC; a flag that they make or break changes the length."""
    line = bytearray(encode(frame))
    for place in data.draw(st.sets(st.integers(8, 8 * len(line) - 9), min_size=1, max_size=3)):
        line[place // 8] ^= 1 << place % 8
    assert [got for got in Decoder().feed(bytes(line)) if got != frame] == []


def test_noise_is_next_to_never_a_frame_and_never_fills_the_memory():
    rng = random.Random(0)
    decoder = Decoder()
    assert sum(1 for _ in range(300) for _ in decoder.feed(rng.randbytes(1000))) == 0
    for _ in range(300):
        list(decoder.feed(b"\x00" * 1000))
    assert len(decoder._held) <= Decoder.LONGEST


def layout_of(x_bits=320, transfers=1, y_bits=4):
    return Layout("0123456789abcdef", (1, 2, 3), x_bits, transfers, y_bits)


def test_the_layout_has_whole_bytes_and_replies_that_fit_the_buffer():
    layout = layout_of(y_bits=4 + 5 * 10)
    assert (layout.sample_bytes, layout.result_bytes) == (40, 7 + 3)
    assert layout.batch == 51
    assert layout.batch * layout.result_bytes < layout.buffer == 512


@pytest.mark.parametrize(
    ("bits", "transfers", "count"), [(6272, 1, 1), (8, 784, 1), (20000, 1, 1), (3, 1, 1), (8, 4, 900)]
)
def test_a_batch_fits_lengths_and_buffers(bits, transfers, count):
    layout = layout_of(bits, transfers, 16 * count)
    assert 1 <= layout.batch <= 255
    assert layout.batch * layout.sample_bytes <= 0xFFFF
    assert layout.batch * layout.result_bytes < layout.buffer
    assert layout.buffer & layout.buffer - 1 == 0


def test_the_identity_says_network_version_and_formats():
    identity = layout_of(12, 64).identity()
    wanted = b"DWN\x01" + bytes.fromhex("0123456789abcdef") + b"\x01\x02\x03" + b"\x0c\x00\x40\x00\x04\x00\x7f\x00"
    assert identity == wanted


def test_statistics_of_another_length_are_refused():
    assert Statistics.unpack(bytes([1, 2, 3, 4, 5, 6])) == Statistics(0x201, 0x403, 0x605)
    with pytest.raises(ValueError, match="5 bytes of statistics"):
        Statistics.unpack(bytes(5))


def test_no_refusal_is_the_answer_to_a_request():
    answers = {kind | serial_frames.REPLY for kind in Kind}
    assert not answers & {int(refusal) for refusal in Refusal}
    assert all(refusal & serial_frames.REFUSED == serial_frames.REFUSED for refusal in Refusal)
