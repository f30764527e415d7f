"""What the examples share: arguments, the idx images, a scaler, a training that tells of itself, and the checkpoint."""

from __future__ import annotations

import argparse
import gzip
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import dwn_hw
from dwn_hw.ir.codes import encode
from dwn_hw.ir.emulate import Emulator
from dwn_hw.nn.training import Epoch, fit


@dataclass(frozen=True, slots=True)
class Images:
    """Images (samples, 1, 28, 28) of 0…255 as float32, and classes, to train with and to test with."""

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor


class Scaler(nn.Module):
    """``(x − mean) / scale`` of features (samples, features), as scikit-learn's StandardScaler; both are buffers (features,)."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The scaled features."""
        return (x - self.mean) / self.scale

    def fit(self, x: torch.Tensor) -> None:
        """Take mean and deviation of samples, each feature's own; a constant feature is divided by 1."""
        samples = x.double()
        self.mean.copy_(samples.mean(0))
        deviation = samples.std(0, correction=0)
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))


def arguments(doc: str | None, epochs: int, **options: Any) -> argparse.ArgumentParser:
    """The arguments that every example has; ``epochs`` by default, 1 with ``--quick``."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: a few made-up samples")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and made-up samples")
    parser.add_argument("--epochs", type=int, help=f"{epochs} by default")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("DWN_HW_DATA", "../shared/data"), help="holds mnist, fashion-mnist"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("trained"), help="folder of the checkpoints")
    parser.set_defaults(full_epochs=epochs)
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments, with ``epochs`` said."""
    asked = parser.parse_args()
    asked.epochs = asked.epochs or (1 if asked.quick else asked.full_epochs)
    return asked


def images(asked: argparse.Namespace, name: str) -> Images:
    """The images of a folder ``name`` of the data, or made-up ones with ``--quick``."""
    if asked.quick:
        return _made_up(asked.seed)
    folder = Path(asked.data) / name
    arrays = [_idx(folder / f"{part}.gz") for part in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")]
    arrays += [_idx(folder / f"{part}.gz") for part in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")]
    x, y, x_test, y_test = (torch.from_numpy(array) for array in arrays)
    return Images(x.unsqueeze(1).float(), y.long(), x_test.unsqueeze(1).float(), y_test.long())


def _idx(path: Path) -> np.ndarray:
    with gzip.open(path) as file:
        content = file.read()
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def _made_up(seed: int) -> Images:
    """512 and 256 images of ten blurred patterns with noise."""
    draw = torch.Generator().manual_seed(seed)
    patterns = nn.functional.interpolate(torch.rand(10, 1, 7, 7, generator=draw), size=28, mode="bilinear")
    y = torch.randint(10, (768,), generator=draw)
    x = (patterns[y] * 200 + torch.rand(768, 1, 28, 28, generator=draw) * 55).floor()
    return Images(x[:512], y[:512], x[512:], y[512:])


def train(
    name: str, model: nn.Module, x: torch.Tensor, y: torch.Tensor, asked: argparse.Namespace, **more: Any
) -> None:
    """Fit a model: two fifths of the epochs at the full rate, two at a tenth, the rest at a hundredth; a line an epoch."""
    started = time.perf_counter()

    def progress(epoch: Epoch) -> None:
        print(
            f"{name}: epoch {epoch.number} of {epoch.epochs}, loss {epoch.loss:.4f}, {epoch.seconds:.0f} s", flush=True
        )

    lr_step = max(1, -(-asked.epochs * 2 // 5))
    defaults: dict[str, Any] = {"lr": 1e-3, "batch_size": 128, "seed": asked.seed, "lr_step": lr_step}
    fit(model, x, y, epochs=asked.epochs, progress=progress, **{**defaults, **more})
    print(
        f"{name}: trained for {time.perf_counter() - started:.0f} s in {torch.get_num_threads()} threads, seed {asked.seed}"
    )


def keep(name: str, model: nn.Module, asked: argparse.Namespace) -> Path:
    """Save the state_dict as NAME.pt."""
    asked.out.mkdir(parents=True, exist_ok=True)
    path: Path = asked.out / f"{name}.pt"
    torch.save(model.state_dict(), path)
    print(f"{name}: kept in {path}")
    return path


def share(scores: torch.Tensor, y: torch.Tensor) -> str:
    """How many scores (samples, classes) are greatest where they should be, in words."""
    return f"{float((scores.argmax(1) == y).double().mean()):.2%} of {len(y):,} test images"


def as_integers(
    name: str, model: nn.Module, x: torch.Tensor, judge: Callable[[torch.Tensor], str], bits: Iterable[str] = ("8",)
) -> None:
    """Freeze a model with weights of so many bits, and judge what the network of integers gives for ``x``, exactly as hardware
    will. Formats between layers, where no step decides them, are placed by the first samples.
    """
    for each in bits:
        network = dwn_hw.freeze(model, x=x[:1000].numpy(), weights=each)
        codes = encode(network.input, x.flatten(1).numpy()).codes.reshape(-1, *network.input.shape)
        before, last = Emulator(network).run(codes)
        given = before if network.classifies else last
        print(
            f"{name}: weights of {each} bits: {judge(torch.from_numpy(given * 2.0 ** network.scores_edge.formats[0].lsb))}"
        )


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A model whose first weights follow from the seed."""
    torch.manual_seed(seed)
    return build()
