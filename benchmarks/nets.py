"""The networks that are measured: one real checkpoint, and nets trained or drawn here, kept in a folder once made.

    python benchmarks/nets.py --cache FOLDER [--data FOLDER] [--nets mnist-1000 ...]

Every recipe is seeded and runs on a CPU, in one thread: seconds for the small nets, minutes for those of MNIST's size. The data
folder holds ``mnist/*.gz`` (the canonical files), ``jsc-1000/jsc_openml42468_test1000.npz`` (1,000 jets: x, mean, scale, y),
``uci-pmlb/magic.tsv.gz`` and ``torch_dwn-jsc/*_checkpoint.pt`` (the real checkpoint).

The files are the plain dictionary that torch_dwn's users save and that both tools read: ``state_dict``, ``thermometer``,
``config``, and ``scaler`` where the features are scaled.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dwn_hw import ir
from dwn_hw.ir.emulate import Emulator
from dwn_hw.ir.sample_files import Samples, to_codes
from dwn_hw.nn import DistributiveThermometer, GroupSum, LUTLayer
from dwn_hw.nn.digits import load_digits_split
from dwn_hw.nn.training import accuracy, fit

#: Training samples that words are calibrated with.
CALIBRATION = 10_000

#: LUT inputs, and what GroupSum divides by, of every net here.
N, TAU = 6, 1 / 0.3


@dataclass(frozen=True, slots=True)
class Split:
    """Samples to train and to test with, as the thermometer gets them, and the scaler that they went through."""

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    scaler: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """``layers`` of LUTs on ``bits`` thresholds a feature of the samples that ``split`` reads; ``options`` of ``fit``.

    Without ``options`` nothing is trained: tables and wires stay as drawn. ``own_port``: ``--input-format`` of the data itself.
    """

    split: Callable[[Path], Split]
    bits: int
    layers: tuple[int, ...]
    options: dict[str, Any] | None
    own_port: str | None = None


def jets(data: Path) -> Split:
    """1,000 real jets, 16 features, 5 classes: 800 to train with. Other jets than the real checkpoint was trained on."""
    with np.load(data / "jsc-1000" / "jsc_openml42468_test1000.npz") as file:
        x, y, mean, scale = (file[key] for key in ("x", "y", "mean", "scale"))
    return _split(x, y, 200, mean, scale)


def showers(data: Path) -> Split:
    """MAGIC: 19,020 air showers, 10 real-valued features, 2 classes."""
    with gzip.open(data / "uci-pmlb" / "magic.tsv.gz") as file:
        table = np.loadtxt(file, skiprows=1, dtype=np.float32)
    # The file is sorted by class.
    table = table[np.random.RandomState(0).permutation(len(table))]
    x, y = table[:, :-1], table[:, -1]
    return _split(x, y, 4_000, x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64))


def images(data: Path) -> Split:
    """MNIST: 784 pixels k/255."""
    parts = []
    for part in ("train", "t10k"):
        for what, offset in (("images-idx3", 16), ("labels-idx1", 8)):
            raw = gzip.decompress((data / "mnist" / f"{part}-{what}-ubyte.gz").read_bytes())
            parts.append(torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=offset))
    x, x_test = (parts[i].reshape(-1, 784) / 255 for i in (0, 2))
    return Split(x, parts[1].long(), x_test, parts[3].long())


def digits(data: Path) -> Split:
    """The 8×8 digits that scikit-learn carries: 64 pixels of 0 to 16, 10 classes."""
    split = load_digits_split()
    return Split(*map(torch.from_numpy, (split.x_train, split.y_train, split.x_test, split.y_test)))


def noise(data: Path) -> Split:
    """Random images of MNIST's size: every pixel has thresholds and none is constant, the worst case for each step."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (999, 784), generator=generator) / 255
    y = torch.randint(0, 10, (999,), generator=generator)
    return Split(x, y, x, y)


_SMALL = {"epochs": 20, "batch_size": 32}
_MNIST = {"epochs": 4, "batch_size": 128, "lr_step": 2}
_WIDE = {"epochs": 5, "batch_size": 256, "lr_step": 3}

#: Named as in the tables. t4, t8 and t200 have the shapes of published JSC checkpoints, 16 features and 5 classes.
NETS = {
    "t4": Recipe(jets, 4, (300, 100), _SMALL),
    "t8": Recipe(jets, 8, (300, 100), _SMALL),
    "t200": Recipe(jets, 200, (50,), _SMALL),
    "magic-t200": Recipe(showers, 200, (50,), {"epochs": 5, "batch_size": 128, "lr_step": 3}),
    "digits": Recipe(digits, 3, (300,), _SMALL),
    "mnist-300": Recipe(images, 3, (300,), _MNIST, "u8/255"),
    "mnist-1000": Recipe(images, 3, (1000,), _MNIST, "u8/255"),
    "mnist-2000-1000": Recipe(images, 3, (2000, 1000), _WIDE, "u8/255"),
    "random-2000-1000": Recipe(noise, 3, (2000, 1000), None, "u8/255"),
}

#: The real checkpoint, which nobody trains here.
REAL = "jsc"


def net(name: str, cache: Path, data: Path) -> Path:
    """The checkpoint of a net; made and kept in ``cache`` if it is not there yet."""
    if name == REAL:
        return next((data / "torch_dwn-jsc").glob("*_checkpoint.pt"))
    path = cache / f"{name}.pt"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        checkpoint = make(NETS[name], data)
        torch.save(checkpoint, path)
        results = checkpoint["results"]
        print(
            f"{name}: made in {time.perf_counter() - started:.0f} s, test accuracy {results['final_acc']:.4f}",
            flush=True,
        )
    return path


def own_port(name: str) -> list[str]:
    """The options that say what a net's own, unscaled data looks like."""
    form = NETS[name].own_port if name in NETS else None
    return [] if form is None else ["--input-format", form]


def calibration(name: str, data: Path, file: Path) -> Path | None:
    """``file`` with 10,000 training samples, for nets that have them and take them unscaled."""
    split = NETS[name].split(data) if name in NETS and NETS[name].options is not None else None
    if split is None or split.scaler is not None or len(split.x) < CALIBRATION:
        return None
    np.savez(file, x=split.x[:CALIBRATION].numpy(), y=split.y[:CALIBRATION].numpy())
    return file


def predictions(name: str, data: Path, network: ir.Network) -> np.ndarray:
    """Of the test samples, by the frozen network."""
    split = NETS[name].split(data)
    samples = Samples(split.x_test.numpy(), None, split.y_test.numpy(), name)
    return Emulator(network).run(to_codes(samples, network).codes)[1].ravel()


def make(recipe: Recipe, data: Path) -> dict[str, Any]:
    """Train or draw a net; its checkpoint."""
    split = recipe.split(data)
    thermometer = DistributiveThermometer(recipe.bits).fit(split.x)
    train, test = (thermometer.binarize(x).flatten(1) for x in (split.x, split.x_test))
    classes = int(split.y.max()) + 1
    model = _train(recipe, train, split.y, classes)
    assert thermometer.thresholds is not None
    return {
        "state_dict": model.state_dict(),
        "thermometer": {"thresholds": thermometer.thresholds},
        "config": {
            "n": N,
            "layers": list(recipe.layers),
            "thermometer_bits": recipe.bits,
            "num_classes": classes,
            "tau": TAU,
        },
        "scaler": split.scaler,
        "results": {"final_acc": accuracy(model, test, split.y_test)},
    }


def _train(recipe: Recipe, x: torch.Tensor, y: torch.Tensor, classes: int) -> torch.nn.Sequential:
    torch.manual_seed(0)
    widths = (x.shape[1], *recipe.layers)
    model = torch.nn.Sequential(
        *(
            LUTLayer(before, after, N, mapping="random" if i else "learnable")
            for i, (before, after) in enumerate(itertools.pairwise(widths))
        ),
        GroupSum(classes, TAU),
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same sums on every machine, and busy cores do not wait for each other
    try:
        if recipe.options is not None:
            fit(model, x, y, **recipe.options)
    finally:
        torch.set_num_threads(threads)
    return model


def _split(x: np.ndarray, y: np.ndarray, test: int, mean: np.ndarray, scale: np.ndarray) -> Split:
    """The last ``test`` samples are for the test; features scaled in float64, as scikit-learn does it."""
    scaled = torch.from_numpy(((x - mean.astype(np.float64)) / scale.astype(np.float64)).astype(np.float32))
    labels = torch.from_numpy(y.astype(np.int64))
    scaler = {"mean": mean.astype(np.float64), "scale": scale.astype(np.float64)}
    return Split(scaled[:-test], labels[:-test], scaled[-test:], labels[-test:], scaler)


def add_arguments(parser: argparse.ArgumentParser, default: list[str], also: Sequence[str] = ()) -> None:
    """``--cache``, ``--data`` and ``--nets`` of every benchmark that takes nets; ``also``: nets that it makes itself."""
    parser.add_argument("--cache", type=Path, required=True, help="folder where nets made here are kept")
    parser.add_argument("--data", type=Path, default=os.environ.get("DWN_HW_DATA"), help="else $DWN_HW_DATA")
    parser.add_argument("--nets", nargs="+", choices=[REAL, *NETS, *also], default=default)


def parse(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, dict[str, Path]]:
    """The arguments, and the checkpoints of the nets that were chosen."""
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data FOLDER, or set DWN_HW_DATA")
    return arguments, {name: net(name, arguments.cache, Path(arguments.data)) for name in arguments.nets}


def main() -> None:
    """Make the nets that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, [REAL, *NETS])
    for path in parse(parser)[1].values():
        saved = torch.load(path, map_location="cpu", weights_only=False)  # a file that was made here
        print(path, saved["config"], saved.get("results"))


if __name__ == "__main__":
    main()
