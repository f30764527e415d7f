"""Folded engines of discretised networks: clocks a sample against LUTs and block RAMs, without a multiplier.

    python benchmarks/discretised.py [--lanes 8 32 64] [--targets ecp5 xc7] [--verify 1]

Two networks with random weights: 784-1024-1024-10 with binary activations, of pixels of 8 bits, weights of 8, 4 and 2 bits; and
the decoder of a small autoencoder, 64 bits to 28×28 numbers of 8 bits by four transposed convolutions (32, 16, 8, 1 channels),
weights of 8 bits. What an engine takes follows from shapes and formats, not from what was learnt. ``--verify`` compares so many
random samples in Verilator, every number that any layer writes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from dwn_hw import ir
from dwn_hw.exports import planning, writer
from dwn_hw.fpga import synthesis
from dwn_hw.hardware.families import SYNTHESES
from dwn_hw.hardware.folded import make_folded
from dwn_hw.verification import compare_rtl


def _weights(rng: np.random.Generator, count: int, bits: int) -> tuple[int, ...]:
    high = 1 << bits - 1
    return tuple(rng.integers(-high, high, count).tolist())


def _binary(rng: np.random.Generator, channels: int, spread: int) -> ir.MultiThreshold:
    thresholds = rng.integers(-spread, spread + 1, channels).tolist()
    return ir.MultiThreshold(tuple((t,) for t in thresholds), ((0, 1),) * channels)


def perceptron(bits: int, hidden: int = 1024) -> ir.Network:
    """784-``hidden``-``hidden``-10."""
    rng = np.random.default_rng(bits)
    nodes: list[ir.Node] = []
    for inputs, outputs in ((784, hidden), (hidden, hidden), (hidden, 10)):
        nodes.append(ir.Dense(_weights(rng, inputs * outputs, bits), (0,) * outputs, 0))
        nodes += [_binary(rng, outputs, 1 << bits + 3)] * (outputs == hidden)
    return ir.Network(ir.Input((784,), (ir.Format(8),)), (*nodes, ir.ArgMax()))


def decoder(bits: int = 8) -> ir.Network:
    """64 bits to an image of 28×28."""
    rng = np.random.default_rng(bits)
    nodes: list[ir.Node] = []
    channels = 64
    for outputs, size, stride, padding in ((32, 4, 1, 0), (16, 3, 2, 1), (8, 4, 2, 1), (1, 4, 2, 1)):
        own = _weights(rng, channels * outputs * size * size, bits)
        pairs = ((stride, stride), (padding, padding))
        nodes.append(ir.ConvTranspose2d((channels, outputs, size, size), own, (0,) * outputs, 0, *pairs))
        nodes += [_binary(rng, outputs, 1 << bits)] * (outputs > 1)
        channels = outputs
    return ir.Network(ir.Input((64, 1, 1), (ir.Format(1),)), (*nodes, ir.Quantize(3, "floor", 0, 255)))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, nargs="+", default=[8, 32, 64])
    parser.add_argument("--targets", nargs="*", default=["ecp5", "xc7"], choices=list(SYNTHESES))
    parser.add_argument("--networks", nargs="+", default=["8", "4", "2", "decoder"])
    parser.add_argument("--verify", type=int, default=0)
    asked = parser.parse_args()
    for name in asked.networks:
        network = decoder() if name == "decoder" else perceptron(int(name))
        widest = max(len(node.bias) for node in network.nodes if isinstance(node, ir.Dense | ir.ConvTranspose2d))
        for lanes in (lanes for lanes in asked.lanes if lanes <= widest):
            design = make_folded(network, lanes=lanes)
            plan = design.schedule
            print(f"{name}, {lanes} lanes, {plan.kind}: {design.interval} clocks a sample", flush=True)
            print(f"  weights {plan.weights.size / 2**20:.2f} Mbit, sums of {plan.total.bits} bits", flush=True)
            with tempfile.TemporaryDirectory() as temporary:
                out = Path(temporary) / "out"
                writer.write(planning.ExportPlan(design, 0, {}, None), out)
                if asked.verify:
                    started = time.monotonic()
                    report = compare_rtl.verify(out, random=asked.verify, corners=False)
                    seconds = time.monotonic() - started
                    print(f"  equal: {report['vectors']} samples, {report['node_values']} values, {seconds:.0f} s")
                for target in asked.targets:
                    report = synthesis.synth(out, target)
                    total, estimate = report["total"], report["estimate"]["total"]
                    counts = ", ".join(f"{total[kind]} {kind}" for kind in ("lut", "ff", "carry", "bram", "dsp"))
                    print(
                        f"  {target}: {counts} (estimated {estimate['lut']} lut, {estimate['bram']} bram)", flush=True
                    )


if __name__ == "__main__":
    main()
