"""Images a second of networks that count in integers, all sides in one run, on the same images and exactly equal.

    python benchmarks/emulation_shifts.py --data FOLDER [--images 10000] [--threads N] [--rounds 5] [--batch 1000]

Networks: DeepShift's for MNIST (``folded.py`` has it: conv 1→20 5×5, conv 20→50 5×5, 800-500-10, activations of 12 bits), and
random 784-512-512-10 of many and of few shifts. Sides: the compiled kernel; the emulator in numpy, which copies windows for a
matrix product; torch's own forward of layers of these shapes in float32, in batches; and the floor, which is as many
multiplications in one product of square matrices of float32. Medians of so many rounds, in which all sides run in turn. FOLDER
holds ``deepshift-mnist`` and ``mnist``.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import folded
import numpy as np
import torch
import turns

from dwn_hw import _assets, ir
from dwn_hw.ir import emulate_shifts
from dwn_hw.ir.emulate import Emulator


def dense(span: int, bits: int) -> ir.Network:
    """A random 784-512-512-10, its shifts geometric from 0 down to ``-span``; activations of ``bits`` bits."""
    rng = np.random.default_rng(0)
    sizes = (784, 512, 512, 10)
    nodes: list[ir.Node] = []
    for inputs, outputs in itertools.pairwise(sizes):
        signs = rng.choice([-1, 1], inputs * outputs).tolist()
        shifts = (1 - rng.geometric(0.45, inputs * outputs).clip(1, span + 1)).tolist()
        nodes.append(ir.Dense(ir.powers_of_2(signs, shifts, -span), (3,) * outputs, -span))
        if outputs != sizes[-1]:
            nodes += [ir.Relu(), ir.Quantize(0, "floor", 0, (1 << bits) - 1)]
    return ir.Network(ir.Input((784,), (ir.Format(8),)), (*nodes, ir.ArgMax()))


def forward(network: ir.Network, batch: int) -> Callable[[np.ndarray], object]:
    """Layers of the network's shapes in torch, as somebody would write them in float32."""
    modules: list[torch.nn.Module] = []
    for step in network.steps():
        node = step.node
        if isinstance(node, ir.Conv2d):
            modules.append(torch.nn.Conv2d(step.before.shape[0], node.kernel[0], node.kernel[2:]))
        elif isinstance(node, ir.Dense):
            modules.append(torch.nn.Linear(step.before.size, len(node.bias)))
        elif isinstance(node, ir.MaxPool2d):
            modules.append(torch.nn.MaxPool2d(node.kernel, node.stride))
        elif isinstance(node, ir.Relu):
            modules.append(torch.nn.ReLU())
        elif isinstance(node, ir.Reshape):
            modules.append(torch.nn.Flatten())
    model = torch.nn.Sequential(*modules).eval()

    def call(codes: np.ndarray) -> object:
        with torch.no_grad():
            return torch.cat([model(part.float()).argmax(1) for part in torch.from_numpy(codes).split(batch)])

    return call


def floor(additions: int) -> Callable[[], object]:
    """A product of square matrices that multiplies and adds so many times."""
    size = round(additions ** (1 / 3))
    one = torch.rand(size, size)
    return lambda: one @ one


def measure(name: str, network: ir.Network, codes: np.ndarray, asked: argparse.Namespace) -> None:
    """All sides in turn, and their table."""

    def emulated(form: str) -> np.ndarray:
        os.environ[_assets.VARIABLE] = form
        return emulators[form].run(codes)[1]

    emulators = {form: Emulator(network) for form in ("numba", "numpy")}
    os.environ[_assets.VARIABLE] = "numba"
    started = time.perf_counter()
    Emulator(network).run(codes[:100])
    first = time.perf_counter() - started
    in_torch = forward(network, asked.batch)
    weights = sum(
        len(step.node.weights) * math.prod(step.after.shape[1:])
        for step in network.steps()
        if isinstance(step.node, ir.Dense | ir.Conv2d)
    )
    sides: dict[str, Callable[[], object]] = {
        "compiled kernel": lambda: emulated("numba"),
        "numpy emulator": lambda: emulated("numpy"),
        "torch forward, float32": lambda: in_torch(codes),
        "floor: one product": floor(weights * len(codes)),
    }
    assert (emulated("numba") == emulated("numpy")).all(), "the kernel differs from the emulator in numpy"
    seconds = turns.medians(sides, asked.rounds, warm=1)
    types = emulate_shifts.CompiledShifts(network).program
    print(
        f"{name}: {weights:,} weights an image, sums in {types.wide}, numbers in {types.narrow}, first call {first:.1f} s"
    )
    for side, taken in seconds.items():
        ratio = taken / seconds["compiled kernel"]
        print(f"  {side:24} {len(codes) / taken:10,.0f} images a second   kernel / this {ratio:6.2f}")


def main() -> None:
    """Run all networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1000)
    asked = parser.parse_args()
    os.cpu_count = lambda: asked.threads  # type: ignore[assignment]
    torch.set_num_threads(asked.threads)
    images, _ = folded.mnist_images(asked.data / "mnist", asked.images)
    codes = np.resize(images.astype(np.uint8), (asked.images, 1, 28, 28))
    measure("DeepShift MNIST", folded.deepshift_mnist(asked.data / "deepshift-mnist"), codes, asked)
    for span, bits in ((11, 12), (1, 4)):
        name = f"784-512-512-10, {span + 1} shifts, activations of {bits} bits"
        measure(name, dense(span, bits), codes.reshape(len(codes), -1), asked)


if __name__ == "__main__":
    main()
