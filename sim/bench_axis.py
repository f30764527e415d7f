"""cocotb bench: a design with the axis shell between cocotbext-axi's source and sink.

Runs inside the simulator and knows nothing of dwn_hw: the job (``DWN_HW_JOB``, JSON) lists packets and the packets that must
come back.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

JOB = json.loads(Path(os.environ["DWN_HW_JOB"]).read_text())
PACKETS = [(bytes.fromhex(sent), bytes.fromhex(reply)) for sent, reply in JOB["packets"]]


class Bench:
    """Source, design, sink."""

    def __init__(self, dut, phase):
        self.dut, self.phase = dut, phase
        dut.aresetn.value = 0
        Clock(dut.aclk, 10, "ns").start()
        ends = {"clock": dut.aclk, "reset": dut.aresetn, "reset_active_level": False}
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), **ends)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), **ends)
        self.count = {"packets": 0, "bytes_compared": 0, "resets": 0}

    async def reset(self):
        """For some clocks; what is under way is gone, in the bench too."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 3)
        self.source.clear()
        self.sink.clear()
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)
        self.count["resets"] += 1

    def pause(self, rng):
        """Gaps before and stalls behind, in changing measure."""

        def often(part):
            while True:
                yield rng.random() < part

        self.source.set_pause_generator(often(rng.choice([0.0, 0.3, 0.8])))
        self.sink.set_pause_generator(often(rng.choice([0.0, 0.3, 0.8])))

    async def exchange(self, packets):
        """All in, then all out, in order; ``cut``: bytes of the last sample that are not sent."""
        for sent, _, cut in packets:
            await self.source.send(AxiStreamFrame(sent[: len(sent) - cut]))
        for number, (sent, reply, cut) in enumerate(packets):
            limit = 10 * (2000 + 200 * len(sent))  # ns, at the slowest pauses
            try:
                frame = await with_timeout(self.sink.recv(compact=False), limit * len(packets), "ns")
            except SimTimeoutError:
                self.fail(f"packet {number}", reply, b"")
            got, size = bytes(frame.tdata), JOB["result_bytes"]
            marks = [int(mark) for mark in frame.tuser[::size]]
            whole = len(reply) - size * bool(cut)  # the result of a sample that was cut is void
            if (
                len(got) != len(reply)
                or got[:whole] != reply[:whole]
                or marks != [0] * (len(marks) - 1) + [int(bool(cut))]
            ):
                self.fail(f"packet {number}, marks {marks}", reply, got)
            self.count["packets"] += 1
            self.count["bytes_compared"] += whole
        assert self.sink.empty(), "a packet that nobody sent"

    def fail(self, what, expected, got):
        """Record the difference and stop the test."""
        first = {"phase": self.phase, "what": what, "expected": expected.hex(), "got": got.hex()}
        Path(JOB["result"]).with_suffix(".mismatch.json").write_text(json.dumps(first))
        raise AssertionError(str(first))

    def done(self):
        """Write what was counted."""
        path = Path(JOB["result"])
        counts = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**counts, self.phase: self.count}))


def whole(packets):
    """Packets that are not cut."""
    return [(sent, reply, 0) for sent, reply in packets]


@cocotb.test()
async def full_speed(dut):
    """All packets, one behind the other."""
    bench = Bench(dut, "full_speed")
    await bench.reset()
    await bench.exchange(whole(PACKETS))
    bench.done()


@cocotb.test()
async def pauses_on_both_sides(dut):
    """The same with gaps before and back-pressure behind."""
    rng = random.Random(JOB["seed"])
    bench = Bench(dut, "pauses_on_both_sides")
    await bench.reset()
    for _ in range(6):
        bench.pause(rng)
        await bench.exchange(whole(rng.sample(PACKETS, min(len(PACKETS), 12))))
    bench.done()


@cocotb.test()
async def cut_packets(dut):
    """TLAST within a sample: its result is marked, the others and the next packet are right."""
    rng = random.Random(JOB["seed"] + 1)
    bench = Bench(dut, "cut_packets")
    await bench.reset()
    for (sent, reply), kept in zip(PACKETS, JOB["cuts"], strict=False):
        bench.pause(rng)
        await bench.exchange([(sent, reply, JOB["sample_bytes"] - kept), *whole(PACKETS[:1])])
    bench.done()


@cocotb.test()
async def reset_in_mid_packet(dut):
    """Reset while packets are under way: none of them comes out, and the next ones are right."""
    rng = random.Random(JOB["seed"] + 2)
    bench = Bench(dut, "reset_in_mid_packet")
    await bench.reset()
    for _ in range(8):
        bench.pause(rng)
        for sent, _ in rng.sample(PACKETS, min(len(PACKETS), 3)):
            await bench.source.send(AxiStreamFrame(sent))
        await ClockCycles(dut.aclk, rng.randrange(1, 4 * len(PACKETS[0][0]) + 8))
        await bench.reset()
        await bench.exchange(whole(rng.sample(PACKETS, min(len(PACKETS), 4))))
    bench.done()
