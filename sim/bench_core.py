"""cocotb bench, the second one of ``verify --thorough``: a design against the values that every node must have for every vector.

Runs inside the simulator and knows nothing of dwn_hw: it reads a job (``DWN_HW_JOB``: a JSON file, with an ``.npz`` beside
it) and writes what it counted, and the first mismatch, to the JSON file that the job names.

The bench drives the clock itself. In each clock: inputs are set while the clock is low, everything settles, outputs and
the parts' outputs are sampled, then the clock rises. A shadow of the pipeline says which vector each stage holds, so that
each node's output is compared for each vector that passes it, not only the result.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import Timer

JOB = json.loads(Path(os.environ["DWN_HW_JOB"]).read_text())
ARRAYS = np.load(Path(os.environ["DWN_HW_JOB"]).with_suffix(".npz"))


def integers(name):
    """The rows of a packed array as Python integers, bit 0 lowest."""
    return [int.from_bytes(row.tobytes(), "little") for row in ARRAYS[name]]


X = integers("x")
Y = integers("y")
PARTS = JOB["parts"]
NODES = [integers(f"node{part['node']}") for part in PARTS]

# Transfers of x that a vector takes, one after the other.
INTERVAL = JOB["interval"]
VECTORS = len(X) // INTERVAL

# Results of all tests: of each vector, of four slow runs where there are streams, and behind each of the resets.
RESETS, BEHIND = 20, 8
TOTAL = VECTORS
TOTAL += 4 * min(VECTORS, JOB["slow_vectors"]) if JOB["shell"] == "stream" else 0
TOTAL += RESETS * BEHIND if JOB["reset"] else 0
EVERY = 64  # results until it is said how many there are

# One clock in so many, inputs change while the clock is still high, or a single register on the wrong edge would not show.
LATE_FALL = 8


class Bench:
    """One design under test: its pins, a shadow of its pipeline, and what was counted."""

    collected = 0  # results, in all tests

    def __init__(self, dut, phase):
        self.dut, self.phase = dut, phase
        self.stream = JOB["shell"] == "stream"
        suffix = "_payload" if self.stream else ""
        self.x, self.y = getattr(dut, f"x{suffix}"), getattr(dut, f"y{suffix}")
        self.wires = [getattr(dut.core, part["name"]).y for part in PARTS]
        self.held = [None] * JOB["latency"]  # the vector in each stage
        self.word = 0  # the transfer of a vector that comes next
        self.count = {"clocks": 0, "results": 0, "node_values": 0, "stalled": 0, "idle": 0, "resets": 0}

    def fail(self, what, vector, unit, expected, got):
        """Record the first mismatch and stop the test."""
        first = {"phase": self.phase, "node": what, "vector": vector, "unit": unit}
        first |= {"expected": str(expected), "got": str(got)}
        path = Path(JOB["result"]).with_suffix(".mismatch.json")
        if not path.exists():  # the first of all phases is the one to look at
            path.write_text(json.dumps(first))
        raise AssertionError(f"{self.phase}: {first}")

    def compare(self, what, vector, handle, expected, width):
        """One wire against the packed integer it must hold; on a difference, name the first entry of ``width`` bits."""
        text = str(handle.value)
        try:
            value = int(text, 2)  # far quicker than LogicArray's own test for X and Z
        except ValueError:
            self.fail(what, vector, 0, hex(expected), text)
        if value != expected:
            different = value ^ expected
            unit = ((different & -different).bit_length() - 1) // width
            mask = (1 << width) - 1
            self.fail(what, vector, unit, expected >> unit * width & mask, value >> unit * width & mask)

    async def clock(self, vector=None, ready=True, reset=False):
        """One clock: offer the next transfer of ``vector``; returns (whether it was taken, the vector whose result was taken)."""
        idle = random.getrandbits(8) % 2 * ((1 << JOB["x_bits"]) - 1)
        self.x.value = X[vector * INTERVAL + self.word] if vector is not None else idle
        if self.stream:
            self.dut.x_valid.value = int(vector is not None)
            self.dut.y_ready.value = int(ready)
        if JOB["reset"]:
            self.dut.rst.value = int(reset)
        if JOB["clock"]:
            if self.count["clocks"] % LATE_FALL == 0:
                await Timer(1, "ns")
            self.dut.clk.value = 0
        await Timer(1, "ns")
        taken, result = self.sample(vector, ready, reset)
        if JOB["clock"]:
            self.dut.clk.value = 1
            await Timer(1, "ns")
        self.count["clocks"] += 1
        return taken, result

    def sample(self, vector, ready, reset):
        """Everything has settled and the clock is low: compare all that is known, then move the shadow on."""
        if reset:
            self.held, self.word = [None] * len(self.held), 0
            self.count["resets"] += 1
            return False, None
        last = self.held[-1] if self.held else vector
        advance = not self.stream or ready or last is None
        if self.stream:
            self.check_handshake(vector, ready, last, advance)
        for part, wire, values in zip(PARTS, self.wires, NODES, strict=True):
            now = self.held[part["clocks"] - 1] if part["clocks"] else vector
            if now is not None:
                self.compare(part["name"], now, wire, values[now], part["bits"])
                self.count["node_values"] += part["units"]
        result = last if last is not None and (ready or not self.stream) else None
        if last is not None:
            self.compare("result", last, self.y, Y[last], JOB["y_bits"])
        if result is not None:
            self.count["results"] += 1
        self.count["stalled"] += not advance
        self.count["idle"] += vector is None
        taken = vector is not None and advance
        whole = taken and self.word == INTERVAL - 1
        if advance:
            self.held = [vector if whole else None, *self.held][: len(self.held)]
        self.word = (self.word + taken) % INTERVAL
        return taken, result

    def check_handshake(self, vector, ready, last, advance):
        """valid and ready are what the shadow says they are."""
        wanted_ready = advance if self.held else ready
        for name, handle, wanted in (
            ("y_valid", self.dut.y_valid, last is not None),
            ("x_ready", self.dut.x_ready, wanted_ready),
        ):
            if str(handle.value) != str(int(wanted)):
                self.fail(name, vector if vector is not None else -1, 0, int(wanted), handle.value)

    async def start(self):
        """Bring the design into a known state."""
        if JOB["reset"]:
            for _ in range(2):
                await self.clock(reset=True)
        self.held = [None] * len(self.held)

    async def send(self, vectors, idle=0.0, stall=0.0, rng=None):
        """Feed ``vectors`` in order with random idle and back-pressure until all results are out, in order."""
        waiting, due = list(reversed(vectors)), list(vectors)
        got = 0
        while got < len(due):
            offer = waiting[-1] if waiting and not (idle and rng.random() < idle) else None
            # A vector that was offered and not taken stays on offer, as the rules of a stream demand.
            ready = not (stall and rng.random() < stall)
            taken, result = await self.clock(offer, ready)
            while offer is not None and not taken:
                if result is not None:
                    got = self.collect(due, got, result)
                taken, result = await self.clock(offer, not (stall and rng.random() < stall))
            if taken and self.word == 0:
                waiting.pop()
            if result is not None:
                got = self.collect(due, got, result)

    def collect(self, due, got, result):
        """The next result must be that of the next vector."""
        if due[got] != result:
            self.fail("order", result, 0, due[got], result)
        Bench.collected += 1
        if Bench.collected % EVERY == 0:
            sys.stdout.write(f"@ {Bench.collected} {TOTAL}\n")
            sys.stdout.flush()
        return got + 1

    def done(self):
        """Write what was counted."""
        path = Path(JOB["result"])
        counts = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**counts, self.phase: self.count}))


@cocotb.test()
async def full_speed(dut):
    """Every vector, one transfer a clock where the design has registers, nothing stalls."""
    bench = Bench(dut, "full_speed")
    await bench.start()
    await bench.send(list(range(VECTORS)))
    bench.done()


@cocotb.test(skip=JOB["shell"] != "stream")
async def idle_and_back_pressure(dut):
    """A part of the vectors in random order, with random gaps before and random stalls behind."""
    rng = random.Random(JOB["seed"])
    bench = Bench(dut, "idle_and_back_pressure")
    await bench.start()
    for idle, stall in ((0.5, 0.0), (0.0, 0.5), (0.3, 0.3), (0.1, 0.9)):
        await bench.send(rng.sample(range(VECTORS), min(VECTORS, JOB["slow_vectors"])), idle, stall, rng)
    bench.done()


@cocotb.test(skip=not JOB["reset"])
async def reset_in_mid_stream(dut):
    """Reset while vectors are under way: none of them comes out, and the next ones are right."""
    rng = random.Random(JOB["seed"] + 1)
    bench = Bench(dut, "reset_in_mid_stream")
    await bench.start()
    vector = 0
    for _ in range(RESETS):
        for _ in range(rng.randrange(1, 3 * len(bench.held) + INTERVAL + 1)):
            vector = vector if bench.word else rng.randrange(VECTORS)
            await bench.clock(vector, ready=rng.random() < 0.7)
        vector = vector if bench.word else rng.randrange(VECTORS)
        await bench.clock(vector, ready=rng.random() < 0.5, reset=True)
        await bench.send([rng.randrange(VECTORS) for _ in range(BEHIND)])
    bench.done()
