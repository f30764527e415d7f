"""cocotb bench: a design with the uart shell through its serial line, byte for byte.

Runs inside the simulator and knows nothing of dwn_hw: the job (``DWN_HW_JOB``, JSON) lists bytes to send and the bytes that
must come back.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

JOB = json.loads(Path(os.environ["DWN_HW_JOB"]).read_text())
PERIOD = 10  # ns
BIT = PERIOD * JOB["clocks_per_bit"]


class Bench:
    """The line's other end."""

    def __init__(self, dut, phase):
        self.dut, self.phase = dut, phase
        self.received = bytearray()
        self.count = {"bytes_sent": 0, "bytes_compared": 0, "exchanges": 0}

    async def start(self):
        """Clock, reset, and an idle line."""
        self.dut.rx.value = 1
        Clock(self.dut.clk, PERIOD, "ns").start()
        await self.reset()
        cocotb.start_soon(self.listen())

    async def reset(self):
        """For some clocks, and a moment of silence."""
        self.dut.rst.value = 1
        await Timer(3 * PERIOD + 3, "ns")
        self.dut.rst.value = 0
        await Timer(12 * BIT, "ns")

    async def listen(self):
        """Bytes of tx, for ever."""
        while True:
            await FallingEdge(self.dut.tx)
            await Timer(BIT + BIT // 2, "ns")
            byte = 0
            for bit in range(8):
                byte |= int(self.dut.tx.value) << bit
                await Timer(BIT, "ns")
            assert self.dut.tx.value == 1, "no stop bit"
            self.received.append(byte)

    async def send(self, sent, rng=None):
        """Bytes onto rx; with ``rng`` some pauses between them."""
        for byte in sent:
            for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                self.dut.rx.value = bit
                await Timer(BIT, "ns")
            if rng and rng.random() < 0.1:
                await Timer(rng.randrange(1, 30 * BIT), "ns")
        self.count["bytes_sent"] += len(sent)

    async def expect(self, expected, what):
        """Exactly these bytes, and none after them for a while."""
        for _ in range(40 * len(expected) + 2000):
            if len(self.received) >= len(expected):
                break
            await Timer(BIT, "ns")
        await Timer(25 * BIT, "ns")
        if self.received != expected:
            first = {"phase": self.phase, "what": what, "expected": expected.hex(), "got": self.received.hex()}
            Path(JOB["result"]).with_suffix(".mismatch.json").write_text(json.dumps(first))
            raise AssertionError(str(first))
        self.count["bytes_compared"] += len(expected)
        self.count["exchanges"] += 1
        self.received.clear()

    def done(self):
        """Write what was counted."""
        path = Path(JOB["result"])
        counts = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**counts, self.phase: self.count}))


@cocotb.test()
async def answers(dut):
    """Each request alone, with pauses between its bytes."""
    rng = random.Random(JOB["seed"])
    bench = Bench(dut, "answers")
    await bench.start()
    for number, (sent, reply) in enumerate(JOB["exchanges"]):
        await bench.send(bytes.fromhex(sent), rng)
        await bench.expect(bytes.fromhex(reply), f"exchange {number}")
    bench.done()


@cocotb.test()
async def damaged_frames_take_no_other_with_them(dut):
    """A broken frame and a good one without a pause: the first is refused, the second answered."""
    bench = Bench(dut, "damaged_frames_take_no_other_with_them")
    await bench.start()
    for number, (sent, reply) in enumerate(JOB["damaged"]):
        await bench.send(bytes.fromhex(sent))
        await bench.expect(bytes.fromhex(reply), f"damaged frame {number}")
    bench.done()


@cocotb.test()
async def reset_in_mid_frame(dut):
    """Reset while a frame comes in, or its reply goes out: nothing of it is left, and the next one is right."""
    rng = random.Random(JOB["seed"] + 1)
    bench = Bench(dut, "reset_in_mid_frame")
    await bench.start()
    for number in range(6):
        sent, reply = map(bytes.fromhex, rng.choice(JOB["exchanges"]))
        await bench.send(sent[: rng.randrange(1, len(sent))] if number % 2 else sent)
        await Timer(rng.randrange(1, 100 * BIT), "ns")
        await bench.reset()
        await Timer(12 * BIT, "ns")
        bench.received.clear()
        await bench.send(sent)
        await bench.expect(reply, f"after reset {number}")
    bench.done()
