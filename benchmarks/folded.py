"""The folded engine of a real DeepShift network over lanes: clocks and images a second against LUTs and block RAMs.

    python benchmarks/folded.py --data FOLDER [--lanes 1 8 32 128] [--targets ecp5 xc7] [--images 100] [--bits 12]

The network is upstream's ``simple_conv_shift_q_all_wb_5`` for MNIST (431,080 parameters, weights of 5 bits): conv 1→20 5×5, ReLU,
pool 2, conv 20→50 5×5, ReLU, pool 2, 800→500, ReLU, 500→10. Activations are floored to ``--bits`` before every shift layer. For
each number of lanes the export is simulated in Verilator on the first ``--images`` whole test images, every write of every layer
being compared with ``evaluate``, and synthesised for each target. FOLDER holds ``deepshift-mnist`` and ``mnist``.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from dwn_hw import ir
from dwn_hw.exports import planning, writer
from dwn_hw.fpga import synthesis
from dwn_hw.hardware.families import SYNTHESES
from dwn_hw.hardware.folded import make_folded
from dwn_hw.ir import evaluate, sample_files
from dwn_hw.verification import compare_rtl

#: What the network was trained with.
MEAN, DEVIATION = 0.1307, 0.3081

#: Bits that are dropped after the multiplication that normalises a pixel.
_NORMALISE = 10


def deepshift_mnist(folder: Path, bits: int = 12, lsb: int = -8) -> ir.Network:
    """The network in ``folder``, activations in ``bits`` on the grid ``2**lsb``."""
    path = folder / "simple_conv_shift_q_all_wb_5" / "weights.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    grid = 2 ** (_NORMALISE - lsb)
    half = 1 << _NORMALISE - 1
    normalise = ir.Affine((round(grid / 255 / DEVIATION),), (round(-grid * MEAN / DEVIATION) + half,), _NORMALISE, lsb)
    quantize = ir.Quantize(lsb, "floor", -(1 << bits - 1), (1 << bits - 1) - 1)
    nodes: list[ir.Node] = [normalise]
    for name in ("conv1", "conv2", "fc1", "fc2"):
        if name == "fc1":
            nodes.append(ir.Reshape((800,)))
        nodes += [
            quantize,
            _layer(state[f"{name}.weight"].double().numpy(), state[f"{name}.bias"].double().numpy(), lsb),
        ]
        nodes += [ir.Relu()] * (name != "fc2") + [ir.MaxPool2d((2, 2), (2, 2))] * (name in ("conv1", "conv2"))
    names = tuple(str(digit) for digit in range(10))
    return ir.Network(ir.Input((1, 28, 28), (ir.Format(8),)), (*nodes, ir.ArgMax()), names)


def _layer(weights: np.ndarray, bias: np.ndarray, lsb: int) -> ir.Dense | ir.Conv2d:
    """Weights that are ±2^s or 0 already; the bias on the grid of the sums, floored."""
    flat = weights.reshape(-1)
    signs = np.sign(flat).astype(int)
    shifts = np.where(signs != 0, np.round(np.log2(np.where(signs != 0, np.abs(flat), 1))), 0).astype(int)
    assert (signs * 2.0**shifts == flat).all(), "not a power of two"
    low = int(shifts[signs != 0].min())
    biases = tuple(int(value) for value in np.floor(bias * 2.0 ** (-lsb - low)))
    common = (ir.powers_of_2(signs.tolist(), shifts.tolist(), low), biases, low)
    return ir.Dense(*common) if weights.ndim == 2 else ir.Conv2d(tuple(weights.shape), *common)


def mnist_images(folder: Path, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Codes (images, 1, 28, 28) and labels of MNIST's test set."""
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images[:count].astype(np.int64), labels[:count]


def predict(network: ir.Network, images: np.ndarray) -> np.ndarray:
    """Classes."""
    blocks = [evaluate.evaluate(network, images[start : start + 100]) for start in range(0, len(images), 100)]
    return np.concatenate(blocks)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--targets", nargs="*", default=["ecp5", "xc7"], choices=list(SYNTHESES))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--bits", type=int, default=12)
    asked = parser.parse_args()
    network = deepshift_mnist(asked.data / "deepshift-mnist", asked.bits)
    images, labels = mnist_images(asked.data / "mnist", asked.images)
    samples = sample_files.Samples(None, images, None, "MNIST test images")
    if asked.images:
        correct = int((predict(network, images) == labels).sum())
        print(f"{correct} of {len(labels)} images right with activations of {asked.bits} bits\n")
    for lanes in asked.lanes:
        design = make_folded(network, lanes=lanes)
        print(
            f"{lanes} lanes: {design.interval} clocks an image, {100e6 / design.interval:.0f} images a second at 100 MHz",
            flush=True,
        )
        with tempfile.TemporaryDirectory() as temporary:
            out = Path(temporary) / "out"
            writer.write(planning.ExportPlan(design, 0, {}, None), out)
            if asked.images:
                started = time.monotonic()
                report = compare_rtl.verify(out, random=0, corners=False, samples=samples)
                seconds = time.monotonic() - started
                print(
                    f"  equal: {report['vectors']} images, {report['node_values']} values, {seconds:.0f} s", flush=True
                )
            for target in asked.targets:
                report = synthesis.synth(out, target)
                total, estimate = report["total"], report["estimate"]["total"]
                counts = ", ".join(f"{total[kind]} {kind}" for kind in ("lut", "ff", "carry", "bram", "dsp"))
                print(f"  {target}: {counts} (estimated {estimate['lut']} lut, {estimate['bram']} bram)", flush=True)


if __name__ == "__main__":
    main()
