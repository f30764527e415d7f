"""Accuracy against LUTs, encoder included, of networks that are trained with ``--cheap-encoder`` and ``--prune``.

    python benchmarks/cheap_encoder.py --data D [--nets letter mnist] [--asked 0:0 8:0 8:0.4:1500] [--seeds 0 1 2] [--epochs 30]

Each net has the recipe that ``dwn-hw train`` takes by default, for MNIST with evenly spaced thresholds and 16 candidates, and all
epochs. ``--asked``: WEIGHT:SHARE, or WEIGHT:SHARE:LUTS for a layer that begins with so many; the first is what the others are
compared with. MNIST is tested on its own test images; of letter a fifth is kept apart, the same for every seed. LUTs: those of
the 7 series, as ``dwn-hw export --target xc7`` plans them, with the sites of carry chains that need one.

The data folder holds ``mnist/*.gz`` (the canonical files) and ``uci-pmlb/letter.tsv.gz``.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from dwn_hw.exports import planning
from dwn_hw.exports.options import Options
from dwn_hw.frontend import extract, sample_formats
from dwn_hw.ir.proportions import interval
from dwn_hw.ir.sample_files import Samples
from dwn_hw.nn import recipe as recipes
from dwn_hw.nn.trainer import Trainer, stratified

#: Samples and classes to train with, and to test with.
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

#: What is asked for beside the recipe's defaults.
ASKED = {"letter": {}, "mnist": {"thermometer": "linear", "candidates": 16}}


def letter(data: Path) -> Split:
    """The table of letters, of which a fifth is kept apart."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "letter.tsv"
        table.write_bytes(gzip.decompress((data / "uci-pmlb" / "letter.tsv.gz").read_bytes()))
        samples = sample_formats.load(table)
    x, y = np.asarray(samples.x, np.float32), np.unique(np.asarray(samples.y), return_inverse=True)[1].astype(np.int64)
    first, second = stratified(y, 0.2, 0)
    return x[first], y[first], x[second], y[second]


def mnist(data: Path) -> Split:
    """The images, in bytes."""
    found = []
    for name in ("train", "t10k"):
        samples = sample_formats.load(data / "mnist" / f"{name}-images-idx3-ubyte.gz")
        found += [np.asarray(samples.x, np.float32).reshape(len(samples), -1), np.asarray(samples.y).astype(np.int64)]
    return found[0], found[1], found[2], found[3]


READERS = {"letter": letter, "mnist": mnist}


def luts(training: Trainer, x: np.ndarray) -> list[int]:
    """The LUTs of the encoder, the layers and the vote of what was trained, for samples like ``x``."""
    model = extract.extract_modules(training.finish(), training.prepared.thermometer)
    estimate = planning.plan(model, Options(target="xc7"), Samples(x[:1000], None, None, "x")).report["estimate"]
    parts = [part["site"] for part in estimate.values()]
    return [parts[0], sum(parts[1:-2]), sum(parts[-2:])]


def measured(name: str, split: Split, asked: list[float], seed: int, epochs: int) -> tuple[float, int]:
    """Train one network, print its row, and return its accuracy in points, and all of its LUTs."""
    x, y, x_test, y_test = split
    classes, weight, share = len(np.unique(y)), *asked[:2]
    wide = {"luts": (int(asked[2]),)} if len(asked) > 2 else {}
    shaped = wide | {"cheap_encoder": weight, "prune": share, "epochs": epochs, "patience": 0, "seed": seed}
    recipe = recipes.for_data(np.concatenate([x, x_test]) if name == "letter" else x, classes, **ASKED[name], **shaped)
    started = time.perf_counter()
    training = Trainer(recipe, x, y, classes)
    for _ in training.epochs():
        pass
    seconds = time.perf_counter() - started
    training.finish()
    right, count = training.accuracy(x_test, y_test)
    low, high = interval(right, count)
    encoder, layers, vote = luts(training, x_test)
    print(
        f"{name:7} {recipe.luts} weight {weight:<4g} share {share:<5g} seed {seed}: {right / count:.2%} "
        f"({low:.2%} to {high:.2%}); encoder {encoder}, layers {layers}, vote {vote}: {encoder + layers + vote} LUTs; "
        f"{seconds:.0f} s",
        flush=True,
    )
    return 100 * right / count, encoder + layers + vote


def main() -> None:
    """Train every network with every seed, and print means beside those of the first pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--nets", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument(
        "--asked", nargs="+", default=["0:0", "4:0", "8:0", "16:0", "8:0.25"], metavar="WEIGHT:SHARE[:LUTS]"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.nets:
        split, means = READERS[name](arguments.data), []
        for pair in arguments.asked:
            asked = [float(part) for part in pair.split(":")]
            found = [measured(name, split, asked, seed, arguments.epochs) for seed in arguments.seeds]
            means.append([statistics.mean(column) for column in zip(*found, strict=True)])
            points, taken = means[-1]
            change, ratio = points - means[0][0], taken / means[0][1]
            print(f"{name:7} {pair}: mean {points:.2f} % ({change:+.2f}), {taken:.0f} LUTs ({ratio:.3f})", flush=True)


if __name__ == "__main__":
    main()
