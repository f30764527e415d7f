"""verify, for the shells ``uart`` and ``axis``: the whole design through their own ports, byte for byte.

What stands inside is compared node by node at ``dwn_top``; here requests go in as bytes, and the bytes that must come out are
computed from the network: damaged frames, cut packets, random pauses on both sides and resets included.
"""

from __future__ import annotations

import importlib.util
import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias, assert_never

import numpy as np

from dwn_hw import toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, silent
from dwn_hw.errors import Mismatch, ToolError
from dwn_hw.exports.reader import Exported
from dwn_hw.fpga import sample_bytes
from dwn_hw.hardware import serial_frames
from dwn_hw.hardware.serial_frames import Frame, Kind, Layout, Refusal
from dwn_hw.hardware.shell_facts import AxisWrapper, UartWrapper, Wrapper
from dwn_hw.ir import evaluate
from dwn_hw.verification import simulate

#: The fewest samples that go through a shell.
FEWEST = 6

#: Of the uart's line in simulation.
CLOCKS_PER_BIT = 4


#: (bytes that are sent, bytes that must come back), in hexadecimal.
_Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _UartJob:
    """What ``sim/bench_uart.py`` reads. ``exchanges``: bytes that are sent, those that must come back. ``damaged``: the same of a
    broken frame, then a good one, at once. All in hexadecimal; ``result``: the file that it writes.
    """

    seed: int
    result: str
    clocks_per_bit: int
    exchanges: _Pairs
    damaged: _Pairs


@dataclass(frozen=True, slots=True)
class _AxisJob:
    """What ``sim/bench_axis.py`` reads. ``packets``: samples and the results that must come back, in hexadecimal. ``cuts``: bytes
    of a packet's last sample that are sent; ``result``: the file that it writes.
    """

    seed: int
    result: str
    packets: _Pairs
    cuts: tuple[int, ...]
    sample_bytes: int
    result_bytes: int


@dataclass(frozen=True, slots=True)
class _Bench:
    """The bench of a shell: its module, its tests, parameters of the top module, and the most bytes of samples through it."""

    module: str
    tests: tuple[str, ...]
    parameters: dict[str, int]
    most_bytes: int


_UART = _Bench(
    "bench_uart",
    ("answers", "damaged_frames_take_no_other_with_them", "reset_in_mid_frame"),
    {"CLOCKS_PER_BIT": CLOCKS_PER_BIT},
    600,
)
_AXIS = _Bench("bench_axis", ("full_speed", "pauses_on_both_sides", "cut_packets", "reset_in_mid_packet"), {}, 4000)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a simulation runs: ``sources`` of the design, ``place`` for what it writes, ``timeout`` in seconds."""

    simulator: str
    sources: tuple[Path, ...]
    place: Path
    seed: int
    timeout: float


@dataclass(frozen=True, slots=True)
class _Traffic:
    """Samples and the results (without clocks) that must come back, as bytes."""

    samples: list[bytes]
    results: list[bytes]
    layout: Layout
    latency: int


def verify(
    exported: Exported, wrapper: Wrapper, codes: sample_bytes.Ints, setting: Setting, progress: Progress = silent
) -> Document:
    """What was compared of what stands around the core, as counts. Raises Mismatch with the first difference."""
    shell, place, bench = exported.interface.shell, setting.place, _bench(wrapper)
    traffic = _traffic(exported, codes, bench, setting.seed)
    for stale in ("ports.json", "ports.mismatch.json"):
        (place / stale).unlink(missing_ok=True)
    job = _job(wrapper, traffic, setting.seed, str((place / "ports.json").resolve()))
    path = simulate.write_job(asdict(job), place / "ports_job.json")
    simulation = simulate.Simulation(
        *(setting.simulator, setting.sources, place / "build_ports", bench.module),
        *(path, bench.tests, wrapper.top, bench.parameters),
    )
    limits = {"build_timeout": setting.timeout, "test_timeout": setting.timeout}
    passed = simulate.run(simulation, **limits, progress=progress)
    mismatch = place / "ports.mismatch.json"
    if mismatch.is_file():
        found = json.loads(mismatch.read_text())
        raise Mismatch(f"the {shell} shell differs: {found['what']}: expected {found['expected']}, got {found['got']}")
    if not passed:
        results = place / "build_ports" / "results.xml"
        raise ToolError(f"the bench of the shell failed without a mismatch; see {results}")
    phases = json.loads((place / "ports.json").read_text())
    return {"shell": shell, "samples": len(traffic.samples), "phases": phases}


def _bench(wrapper: Wrapper) -> _Bench:
    """Raises ToolError where what it needs is missing."""
    match wrapper:
        case UartWrapper():
            return _UART
        case AxisWrapper():
            if importlib.util.find_spec("cocotbext") is None:
                raise toolchain.missing("cocotbext-axi")
            return _AXIS
        case _:
            assert_never(wrapper)


def _traffic(exported: Exported, codes: sample_bytes.Ints, bench: _Bench, seed: int) -> _Traffic:
    """Some of the samples, drawn from ``seed``, in the order in which they stand."""
    layout, design = exported.interface.layout, exported.design
    picked = np.sort(random_rows(len(codes), max(FEWEST, bench.most_bytes // layout.sample_bytes), seed))
    samples = sample_bytes.pack_samples(codes[picked], design)
    results = sample_bytes.pack_results(evaluate.trace(design.network, codes[picked]), design)
    return _Traffic(samples, results, layout, design.latency)


def _job(wrapper: Wrapper, traffic: _Traffic, seed: int, result: str) -> _UartJob | _AxisJob:
    rng = random.Random(seed)
    match wrapper:
        case UartWrapper():
            exchanges, damaged = _exchanges(traffic, rng)
            return _UartJob(seed, result, CLOCKS_PER_BIT, exchanges, damaged)
        case AxisWrapper():
            packets, cuts = _packets(traffic, rng)
            sizes = (traffic.layout.sample_bytes, traffic.layout.y_bytes)
            return _AxisJob(seed, result, packets, cuts, *sizes)
        case _:
            assert_never(wrapper)


def random_rows(count: int, most: int, seed: int) -> sample_bytes.Ints:
    """So many different row numbers, or all."""
    return np.random.default_rng(seed).permutation(count)[:most].astype(np.int64)


def _exchanges(traffic: _Traffic, rng: random.Random) -> tuple[_Pairs, _Pairs]:
    """Those of a :class:`_UartJob`, and the damaged ones."""
    clocks = traffic.latency.to_bytes(serial_frames.CLOCK_BYTES, "little")
    exchanges, start = [], 0
    number = 0
    while start < len(traffic.samples):
        count = rng.randint(1, min(traffic.layout.batch, 7))
        number += 1
        batch = slice(start, start + count)
        reply = b"".join(result + clocks for result in traffic.results[batch])
        exchanges.append(_exchange(Kind.RUN, number, b"".join(traffic.samples[batch]), reply))
        start += count
    identify = _exchange(Kind.IDENTIFY, 0x7E, b"", traffic.layout.identity())
    damaged = []
    for index, fault in enumerate(_FAULTS):
        sent, reply = exchanges[index % len(exchanges)]
        broken, refusal = fault(sent, rng)
        damaged.append((broken.hex() + sent.hex(), refusal.hex() + reply.hex()))
    return tuple((sent.hex(), reply.hex()) for sent, reply in (identify, *exchanges)), tuple(damaged)


def _exchange(kind: Kind, number: int, payload: bytes, reply: bytes) -> tuple[bytes, bytes]:
    answer = Frame(kind | serial_frames.REPLY, number, reply)
    return serial_frames.encode(Frame(kind, number, payload)), serial_frames.encode(answer)


def _refusal(refusal: Refusal, number: int) -> bytes:
    return serial_frames.encode(Frame(refusal, number))


def _flipped(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """A bit of the payload's last byte or the CRC's, so that the header still has its number."""
    flags = (serial_frames.FLAG, serial_frames.ESCAPE)
    places = [i for i in range(5, len(sent) - 1) if sent[i] not in flags and sent[i - 1] != serial_frames.ESCAPE]
    at = rng.choice(places)
    bit = rng.choice([b for b in range(8) if sent[at] ^ 1 << b not in flags])
    broken = sent[:at] + bytes([sent[at] ^ 1 << bit]) + sent[at + 1 :]
    return broken, _refusal(Refusal.DAMAGED, sent[2])


def _cut(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """Ended within its payload by the flag of the next one."""
    return sent[: rng.randrange(5, len(sent) - 1)], _refusal(Refusal.DAMAGED, sent[2])


def _noise(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """Flags, which are nothing."""
    return bytes([serial_frames.FLAG]) * rng.randint(1, 5), b""


def _wrong_length(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """A frame whose CRC is right, with half a sample."""
    number = rng.randrange(256)
    return serial_frames.encode(Frame(Kind.IDENTIFY, number, b"\x00")), _refusal(Refusal.LENGTH, number)


def _unknown(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """Of a kind that there is not."""
    number = rng.randrange(256)
    return serial_frames.encode(Frame(0x55, number, b"\x7e\x7d")), _refusal(Refusal.UNKNOWN, number)


_FAULTS = (_flipped, _cut, _noise, _wrong_length, _unknown) * 3


def _packets(traffic: _Traffic, rng: random.Random) -> tuple[_Pairs, tuple[int, ...]]:
    """Those of an :class:`_AxisJob`, and where they are cut."""
    packets, start, layout = [], 0, traffic.layout
    while start < len(traffic.samples):
        count = rng.randint(1, 9)
        batch = slice(start, start + count)
        packets.append((b"".join(traffic.samples[batch]).hex(), b"".join(traffic.results[batch]).hex()))
        start += count
    cuts = [rng.randrange(1, layout.transfers) * layout.x_bytes for _ in packets] if layout.transfers > 1 else []
    return tuple(packets), tuple(cuts)
