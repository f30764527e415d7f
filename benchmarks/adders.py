"""Adders of constant matrices: dwn-hw's graphs beside da4ml's, on the same matrices, in one run.

    python benchmarks/adders.py [--weights weights.pth]

``--weights``: a DeepShift checkpoint, whose layers of at most 20,000 weights are measured as well. *Bits* are full adders: of
each sum, the bits that both operands reach; counted by the same rule on both sides, for inputs of 8 bits, signed.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from da4ml.cmvm import solve
from rich.console import Console
from rich.table import Table

from dwn_hw.hardware import adder_graph
from dwn_hw.ir.edges import Format

#: Of the random matrices: name, inputs, outputs, part of weights that are 0, seed.
SHAPES = (
    ("±2^0…7", 16, 16, 0.0, 0),
    ("±2^0…7", 16, 16, 0.0, 1),
    ("±2^0…7, 0", 32, 10, 0.33, 0),
    ("±2^0…7", 32, 10, 0.0, 0),
    ("±2^0…7, 0", 64, 32, 0.33, 0),
    ("±2^0…7", 64, 32, 0.0, 0),
    ("int8", 16, 16, -1.0, 0),
)


def matrices(weights: Path | None) -> list[tuple[str, np.ndarray]]:
    """Names and matrices (outputs, inputs) of integers."""
    found = []
    for name, inputs, outputs, zeros, seed in SHAPES:
        rng = np.random.default_rng(seed)
        if zeros < 0:
            matrix = rng.integers(-128, 128, (outputs, inputs))
        else:
            signs = rng.choice([-1, 0, 1], (outputs, inputs), p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2])
            matrix = signs * 2 ** rng.integers(0, 8, (outputs, inputs))
        found.append((f"{outputs}×{inputs} {name}", matrix))
    if weights is not None:
        import torch

        state = torch.load(weights, map_location="cpu", weights_only=True)
        for name, value in state.items():
            if name.endswith("weight") and value.numel() <= 20_000:
                flat = value.double().reshape(len(value), -1)
                exponents = torch.log2(flat[flat != 0].abs())
                scaled = (flat * 2.0 ** -math.floor(exponents.min())).numpy()
                found.append((f"{'×'.join(map(str, flat.shape))} {name}", scaled.astype(np.int64)))
    return found


def rival(matrix: np.ndarray) -> dict[str, Any]:
    """da4ml's default solution: adders, and full adders by the same rule as ours."""
    started = time.perf_counter()
    inputs = matrix.shape[1]
    pipeline = solve(matrix.T.astype(np.float32), qintervals=[(-128.0, 127.0, 1.0)] * inputs)
    seconds = time.perf_counter() - started
    count = bits = 0
    for stage in pipeline.solutions:
        for op in stage.ops:
            if op.opcode in (0, 1):
                count += 1
                bits += _bits(stage.ops, op)
    return {"adders": count, "bits": bits, "seconds": seconds}


def _bits(ops: Any, op: Any) -> int:
    grid = op.qint.step
    width = Format.covering(round(op.qint.min / grid), round(op.qint.max / grid)).bits
    left, right = ops[op.id0].qint.step, ops[op.id1].qint.step * 2.0**op.data
    alone = math.log2(max(left, right) / min(left, right))
    return width - int(alone if op.opcode == 0 or left < right else 0)


def ours(matrix: np.ndarray) -> dict[str, Any]:
    """The graph that parallel hardware is built of."""
    started = time.perf_counter()
    graph = adder_graph.share(matrix, [0] * len(matrix), [(-128, 127)] * matrix.shape[1])
    return {"adders": len(graph.adders), "bits": graph.bits(), "seconds": time.perf_counter() - started}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    both = [f"{who} {what}" for what in ("adders", "bits", "s") for who in ("da4ml", "dwn-hw")]
    table = Table("matrix", "alone", *both, "adders", "bits")
    for name, matrix in matrices(parser.parse_args().weights):
        theirs, own = rival(matrix), ours(matrix)
        apart = sum(max(sum(len(adder_graph.digits(w)) for w in row) - 1, 0) for row in matrix.tolist())
        pairs = [(theirs[what], own[what]) for what in ("adders", "bits", "seconds")]
        cells = [f"{v:.2f}" if isinstance(v, float) else f"{v:,}" for pair in pairs for v in pair]
        ratios = [f"{own[what] / theirs[what]:.3f}" for what in ("adders", "bits")]
        table.add_row(name, f"{apart:,}", *cells, *ratios)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
