"""A folded engine in Amaranth's own simulator, every write and every clock of it compared with the network."""

from __future__ import annotations

import numpy as np
from amaranth.sim import Simulator
from hypothesis import assume

from dwn_hw import ir
from dwn_hw.errors import OptionError
from dwn_hw.hardware.folded import FoldedDesign, make_folded
from dwn_hw.hardware.folded.engine_schedule import scheduled
from dwn_hw.hardware.folded.lane_kinds import IntegerLanes
from dwn_hw.hardware.folded.narrow_before_pooling import narrow_before_pooling
from dwn_hw.ir import evaluate
from dwn_hw.rtl import Engine


def simulate(design, codes, *, idle=0.0, stall=0.0, seed=0):
    """(results, [(sample, step, address, value)], clocks from a sample's last code to its result) in Amaranth's simulator.

    It knows no look-up tables: where some stand behind the engine, results are what they are given.
    """
    engine = Engine(design)
    given = engine.tail.x if engine.tail else engine.y.payload
    simulator = Simulator(engine)
    simulator.add_clock(1e-6)
    rng = np.random.default_rng(seed)
    rows, mask = codes.reshape(len(codes), -1), (1 << len(engine.x.payload)) - 1
    results, writes, latencies = [], [], []

    async def bench(ctx):
        sample = word = clock = 0
        fed = None
        while len(results) < len(codes):
            offered = sample < len(codes) and sample == len(results) and rng.random() >= idle
            ready = rng.random() >= stall
            ctx.set(engine.x.valid, int(offered))
            ctx.set(engine.y.ready, int(ready))
            if offered:
                ctx.set(engine.x.payload, int(rows[sample, word]) & mask)
            if ctx.get(engine.writer.write):
                where = (ctx.get(port) for port in (engine.sequencer.step, engine.writer.at, engine.writer.value))
                writes.append((len(results), *where))
            if ctx.get(engine.y.valid):
                if fed is not None:
                    latencies.append(clock - fed)
                    fed = None
                if ready:
                    results.append(ctx.get(given))
            if offered and ctx.get(engine.x.ready):
                word += 1
                if word == rows.shape[1]:
                    sample, word, fed = sample + 1, 0, clock
            await ctx.tick()
            clock += 1
            assert clock < 10 * len(codes) * design.interval + 1000, "it hangs"

    simulator.add_testbench(bench)
    simulator.run()
    return results, writes, latencies


def compare(design, codes, **options):
    """Every write of every step and every result is the network's, at the clock that the schedule says."""
    results, writes, latencies = simulate(design, codes, **options)
    plan, values = design.schedule, evaluate.trace(design.network, codes)
    assert latencies == [design.latency] * len(codes)
    mask = (1 << plan.written.bits) - 1
    for sample, step, at, value in writes:
        assert value == int(values[plan.steps[step].edge][sample].reshape(-1)[at]) & mask, (plan.steps[step].name, at)
    places = [(i, at) for i, step in enumerate(plan.steps) for at in sorted(step.places().reshape(-1).tolist())]
    assert sorted(write[:3] for write in writes) == [(s, *place) for s in range(len(codes)) for place in places]
    fmt = plan.result
    packed = [
        sum((int(v) & (1 << fmt.bits) - 1) << i * fmt.bits for i, v in enumerate(row.reshape(-1)))
        for row in values[plan.steps[-1].edge]
    ]
    index = plan.steps[-1].size - 1
    low = max(1, index.bit_length()) if plan.classifies else 0
    wanted = values[-1].tolist() if plan.classifies else [0] * len(codes)
    if design.with_scores or not plan.classifies:
        wanted = [w | p << low for w, p in zip(wanted, packed, strict=True)]
    assert results == wanted


def engine_of(network: ir.Network, lanes: int, bits: int) -> FoldedDesign:
    """On lanes of integers of ``bits`` bits, of shifts for 0; no more lanes than layers have outputs."""
    network = narrow_before_pooling(network)
    try:
        widest = max(step.outputs for step in make_folded(network, lanes=1).schedule.steps)
    except OptionError as error:
        assume("windows that see the image" not in str(error))
        raise
    plan = scheduled(network, min(lanes, widest), IntegerLanes(bits) if bits else None)
    return FoldedDesign(network, plan.lanes, network.classifies, plan)
