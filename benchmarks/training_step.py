"""Milliseconds of one training step of a network whose first layer learns its wires, beside the floor of its memory.

    python benchmarks/training_step.py [--luts 2000 1000] [--inputs 2352] [--batch 128] [--candidates 16] [--rounds 7]

Sides, in turn in one run, medians: the step with all inputs as candidates; with some, by the compiled kernels and in torch alone;
with wires that are drawn; and the floor of the first, which is one product of its gradient's shapes and Adam on its weights.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Callable

import torch
import turns
from torch import nn

from dwn_hw import _assets
from dwn_hw.nn import GroupSum, LUTLayer
from dwn_hw.nn.adam import Adam
from dwn_hw.nn.training import step

#: How many batches there are, each of other samples.
_BATCHES = 64


def step_of(luts: list[int], x: torch.Tensor, y: torch.Tensor, batch: int, **first: object) -> Callable[[], None]:
    """A step of training, as ``fit`` takes it, of a network whose first layer has these arguments."""
    torch.manual_seed(0)
    widths = [x.shape[1], *luts]
    layers = [
        LUTLayer(a, b, n=6, **(first if i == 0 else {})) for i, (a, b) in enumerate(zip(widths, luts, strict=False))
    ]
    model = nn.Sequential(*layers, GroupSum(10, tau=3.3)).train()
    optimizer = Adam(model, lr=1e-2)
    numbers = itertools.count()

    # Another batch each time: on one alone the loss would fall until gradients are no normal numbers, which are slow.
    def work() -> None:
        at = next(numbers) % (len(x) // batch) * batch
        step(model, optimizer, x[at : at + batch], y[at : at + batch])

    return work


def floor(slots: int, inputs: int, batch: int) -> Callable[[], None]:
    """One matrix product that makes the gradient of all weights, and Adam on them."""
    x, grad = torch.randn(batch, inputs), torch.randn(batch, slots)
    weights = nn.Parameter(torch.rand(inputs, slots))
    optimizer = torch.optim.Adam([weights], lr=1e-2, fused=True)
    weights.grad = torch.empty_like(weights)

    def work() -> None:
        torch.mm(x.T, grad, out=weights.grad)
        optimizer.step()

    return work


def with_kernels(form: str, work: Callable[[], None]) -> Callable[[], None]:
    """The work with one form of kernels."""

    def run() -> None:
        os.environ[_assets.VARIABLE] = form
        work()

    return run


def main() -> None:
    """Run all sides in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--luts", type=int, nargs="+", default=[2000, 1000])
    parser.add_argument("--inputs", type=int, default=784 * 3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    count = _BATCHES * asked.batch
    x, y = (torch.rand(count, asked.inputs) > 0.5).float(), torch.randint(0, 10, (count,))
    few = {"mapping": "learnable", "candidates": asked.candidates}
    sides: dict[str, tuple[str, Callable[[], None]]] = {
        "all inputs": ("numba", step_of(asked.luts, x, y, asked.batch, mapping="learnable")),
        f"{asked.candidates} candidates": ("numba", step_of(asked.luts, x, y, asked.batch, **few)),
        f"{asked.candidates} candidates, torch alone": ("torch", step_of(asked.luts, x, y, asked.batch, **few)),
        "drawn wires": ("numba", step_of(asked.luts, x, y, asked.batch)),
        "floor: product and Adam": ("torch", floor(6 * asked.luts[0], asked.inputs, asked.batch)),
    }
    # The first steps compile, or touch their memory for the first time.
    seconds = turns.medians({side: with_kernels(*parts) for side, parts in sides.items()}, asked.rounds, warm=2)
    least = seconds["floor: product and Adam"]
    print(f"{asked.luts} on {asked.inputs} inputs, batch {asked.batch}, {torch.get_num_threads()} threads")
    for side, taken in seconds.items():
        print(f"{side:30} {1000 * taken:8.1f} ms   step / floor {taken / least:6.3f}")


if __name__ == "__main__":
    main()
