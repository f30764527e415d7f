"""verify, for the shells ``uart`` and ``axis``: the whole design through their own ports, byte for byte.

What stands inside is compared node by node at ``dwn_top``; here requests go in as bytes, and the bytes that must come out are
computed from the network: damaged frames, cut packets, random pauses on both sides and resets included.
"""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dwn_hw import toolchain
from dwn_hw.errors import Mismatch, ToolError
from dwn_hw.fpga import sample_bytes
from dwn_hw.hardware import frames
from dwn_hw.hardware.design import Design
from dwn_hw.hardware.frames import Frame, Kind, Layout, Refusal
from dwn_hw.ir import evaluate
from dwn_hw.verification import simulate

#: Bytes of samples that go through each shell, and the fewest samples.
MOST_BYTES, FEWEST = {"uart": 600, "axis": 4000}, 6

#: Of the uart's line in simulation.
CLOCKS_PER_BIT = 4

_TESTS = {
    "uart": ("answers", "damaged_frames_take_no_other_with_them", "reset_in_mid_frame"),
    "axis": ("full_speed", "pauses_on_both_sides", "cut_packets", "reset_in_mid_packet"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a simulation runs: ``sources`` of the design, ``place`` for what it writes, ``timeout`` in seconds."""

    simulator: str
    sources: tuple[Path, ...]
    place: Path
    seed: int
    timeout: float


def verify(design: Design, described: dict[str, Any], codes: sample_bytes.Ints, setting: Setting) -> dict[str, Any]:
    """What was compared, as counts. Raises Mismatch with the first difference."""
    shell = described["shell"]
    if shell == "axis" and importlib.util.find_spec("cocotbext") is None:
        raise toolchain.missing("cocotbext-axi")
    layout, place, seed = Layout.of(described), setting.place, setting.seed
    picked = np.sort(random_rows(len(codes), max(FEWEST, MOST_BYTES[shell] // layout.sample_bytes), seed))
    codes = codes[picked]
    samples = sample_bytes.pack_samples(codes, design)
    results = sample_bytes.pack_results(evaluate.trace(design.network, codes), design)
    for stale in ("ports.json", "ports.mismatch.json"):
        (place / stale).unlink(missing_ok=True)
    job = {"seed": seed, "result": str((place / "ports.json").resolve()), "clocks_per_bit": CLOCKS_PER_BIT}
    make: dict[str, Callable[..., dict[str, Any]]] = {"uart": _uart_job, "axis": _axis_job}
    job |= make[shell](samples, results, layout, random.Random(seed), described["latency"])
    path = place / "ports_job.json"
    path.write_text(json.dumps(job))
    parameters = {"CLOCKS_PER_BIT": CLOCKS_PER_BIT} if shell == "uart" else {}
    simulation = simulate.Simulation(
        *(setting.simulator, setting.sources, place / "build_ports", f"bench_{shell}"),
        *(path, _TESTS[shell], described["wrapper"]["top"], parameters),
    )
    passed = simulate.run(simulation, build_timeout=setting.timeout, test_timeout=setting.timeout)
    mismatch = place / "ports.mismatch.json"
    if mismatch.is_file():
        found = json.loads(mismatch.read_text())
        raise Mismatch(f"the {shell} shell differs: {found['what']}: expected {found['expected']}, got {found['got']}")
    if not passed:
        raise ToolError(
            f"the bench of the shell failed without a mismatch; see {place / 'build_ports' / 'results.xml'}"
        )
    return {"shell": shell, "samples": len(codes), "phases": json.loads((place / "ports.json").read_text())}


def random_rows(count: int, most: int, seed: int) -> sample_bytes.Ints:
    """So many different row numbers, or all."""
    return np.random.default_rng(seed).permutation(count)[:most].astype(np.int64)


def _uart_job(
    samples: list[bytes], results: list[bytes], layout: Layout, rng: random.Random, latency: int
) -> dict[str, Any]:
    """``exchanges``: bytes that are sent, those that must come back. ``damaged``: a broken frame, then a good one, at once."""
    clocks = latency.to_bytes(frames.CLOCK_BYTES, "little")
    exchanges, start = [], 0
    number = 0
    while start < len(samples):
        count = rng.randint(1, min(layout.batch, 7))
        number += 1
        batch = slice(start, start + count)
        reply = b"".join(result + clocks for result in results[batch])
        exchanges.append(_exchange(Kind.RUN, number, b"".join(samples[batch]), reply))
        start += count
    identify = _exchange(Kind.IDENTIFY, 0x7E, b"", layout.identity())
    damaged = []
    for index, fault in enumerate(_FAULTS):
        sent, reply = exchanges[index % len(exchanges)]
        broken, refusal = fault(sent, rng)
        damaged.append((broken.hex() + sent.hex(), refusal.hex() + reply.hex()))
    return {"exchanges": [(sent.hex(), reply.hex()) for sent, reply in [identify, *exchanges]], "damaged": damaged}


def _exchange(kind: Kind, number: int, payload: bytes, reply: bytes) -> tuple[bytes, bytes]:
    answer = Frame(kind | frames.REPLY, number, reply)
    return frames.encode(Frame(kind, number, payload)), frames.encode(answer)


def _refusal(refusal: Refusal, number: int) -> bytes:
    return frames.encode(Frame(refusal, number))


def _flipped(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """A bit of the payload's last byte or the CRC's, so that the header still has its number."""
    flags = (frames.FLAG, frames.ESCAPE)
    places = [i for i in range(5, len(sent) - 1) if sent[i] not in flags and sent[i - 1] != frames.ESCAPE]
    at = rng.choice(places)
    bit = rng.choice([b for b in range(8) if sent[at] ^ 1 << b not in flags])
    broken = sent[:at] + bytes([sent[at] ^ 1 << bit]) + sent[at + 1 :]
    return broken, _refusal(Refusal.DAMAGED, sent[2])


def _cut(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """Ended within its payload by the flag of the next one."""
    return sent[: rng.randrange(5, len(sent) - 1)], _refusal(Refusal.DAMAGED, sent[2])


def _noise(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """Flags, which are nothing."""
    return bytes([frames.FLAG]) * rng.randint(1, 5), b""


def _wrong_length(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """A frame whose CRC is right, with half a sample."""
    number = rng.randrange(256)
    return frames.encode(Frame(Kind.IDENTIFY, number, b"\x00")), _refusal(Refusal.LENGTH, number)


def _unknown(sent: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """Of a kind that there is not."""
    number = rng.randrange(256)
    return frames.encode(Frame(0x55, number, b"\x7e\x7d")), _refusal(Refusal.UNKNOWN, number)


_FAULTS = (_flipped, _cut, _noise, _wrong_length, _unknown) * 3


def _axis_job(
    samples: list[bytes], results: list[bytes], layout: Layout, rng: random.Random, latency: int
) -> dict[str, Any]:
    """``packets``: samples and the results that must come back. ``cut``: bytes of a packet's last sample that are sent."""
    packets, start = [], 0
    while start < len(samples):
        count = rng.randint(1, 9)
        batch = slice(start, start + count)
        packets.append((b"".join(samples[batch]).hex(), b"".join(results[batch]).hex()))
        start += count
    cuts = [rng.randrange(1, layout.transfers) * layout.x_bytes for _ in packets] if layout.transfers > 1 else []
    return {"packets": packets, "cuts": cuts, "sample_bytes": layout.sample_bytes, "result_bytes": layout.y_bytes}
