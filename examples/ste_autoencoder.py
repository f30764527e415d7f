"""An autoencoder of MNIST whose code is 512 bits: convolutions to 1 × 1, a straight-through step, and transposed ones back.

    python examples/ste_autoencoder.py [--quick] [--nets narrow wide] [--seed N] [--epochs N] [--data FOLDER] [-o FOLDER]

H. Askary's article on straight-through estimators (2020) has it with 64, 128, 256 and 512 channels: four convolutions of 4 × 4 by
strides of 2, batch norm after all but the first, the step on what ReLU gives, four transposed convolutions of 5, 5, 4 and 4, and
tanh. Images are normalised by mean 0.1307 and deviation 0.3081, here by the first layer, so that samples are the images' own
numbers, 0…255; the loss is the mean square of the normalised ones, as there. tanh gives −1…1 alone, so that the brightest pixels,
2.8, are out of reach in both. ``narrow`` has an eighth of the channels, 8, 16, 32 and 64 bits. Each leaves
``ste_autoencoder_NET.pt``, and its halves ``…_NET_encoder.pt`` and ``…_NET_decoder.pt``: state_dicts for
``--arch examples/ste_autoencoder.py:narrow``, ``narrow_encoder``, ``narrow_decoder``. ``wide`` takes minutes an epoch on a CPU.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import common
import torch
from torch import nn
from torch.nn.functional import mse_loss

from dwn_hw.nn import StraightThroughEstimator

#: Of a pixel.
MEAN, DEVIATION = 0.1307 * 255, 0.3081 * 255

#: The images in a picture.
SHOWN = 16

CHANNELS = {"narrow": (8, 16, 32, 64), "wide": (64, 128, 256, 512)}


def encoder(channels: tuple[int, ...]) -> nn.Sequential:
    """Images (samples, 1, 28, 28) of 0…255 → bits (samples, channels[3], 1, 1)."""
    scaler = common.Scaler(1)
    scaler.mean.fill_(MEAN)
    scaler.scale.fill_(DEVIATION)
    layers: list[nn.Module] = [scaler, nn.Conv2d(1, channels[0], 4, stride=2, padding=1), nn.ReLU()]
    for before, after in itertools.pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, StraightThroughEstimator())


def decoder(channels: tuple[int, ...]) -> nn.Sequential:
    """Bits (samples, channels[3], 1, 1) → images (samples, 1, 28, 28) of −1…1: 1, 3, 7, 14, 28 pixels to a side."""
    layers: list[nn.Module] = []
    for before, after, kernel in zip(channels[:0:-1], channels[2::-1], (5, 5, 4), strict=True):
        layers += [nn.ConvTranspose2d(before, after, kernel, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels[0], 1, 4, stride=2, padding=1), nn.Tanh())


def autoencoder(channels: tuple[int, ...]) -> nn.Sequential:
    """Images of 0…255 → normalised images."""
    return nn.Sequential(encoder(channels), decoder(channels))


narrow, wide = (partial(autoencoder, channels) for channels in CHANNELS.values())
narrow_encoder, wide_encoder = (partial(encoder, channels) for channels in CHANNELS.values())
narrow_decoder, wide_decoder = (partial(decoder, channels) for channels in CHANNELS.values())


@torch.no_grad()
def errors(model: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """The mean square of reconstructions less the normalised images, and of the best that −1…1 could be."""
    wanted = normalised(x)
    pairs = zip(x.split(1000), wanted.split(1000), strict=True)
    squares = sum(float(mse_loss(model(part), image, reduction="sum")) for part, image in pairs)
    return squares / x.numel(), float(mse_loss(wanted.clamp(-1, 1), wanted))


def normalised(x: torch.Tensor) -> torch.Tensor:
    """What is to come out for images of 0…255."""
    return (x - MEAN) / DEVIATION


def picture(net: str, rows: Sequence[torch.Tensor], folder: Path) -> str:
    """Save rows of images (images, 1, 28, 28) as a PGM: what was to come out, what did, and what does of integers."""
    levels = [row.double().clamp(-1, 1).squeeze(1).permute(1, 0, 2).flatten(1) for row in rows]
    grey = ((torch.cat(levels) + 1) * 127.5).round().to(torch.uint8).numpy()
    path = folder / f"ste_autoencoder_{net}.pgm"
    path.write_bytes(b"P5 %d %d 255\n" % grey.shape[::-1] + grey.tobytes())
    return f"images, reconstructions and those of integers in {path}"


def main() -> None:
    """Train what is asked for."""
    parser = common.arguments(__doc__, epochs=5)
    parser.add_argument("--nets", nargs="+", choices=CHANNELS, default=["narrow"])
    asked = common.parsed(parser)
    data = common.images(asked, "mnist")
    for net in asked.nets:
        model = common.seeded(partial(autoencoder, CHANNELS[net]), asked.seed)
        common.train(net, model, data.x, normalised(data.x), asked, loss=mse_loss)
        reached, floor = errors(model, data.x_test)
        print(f"{net}: mean square {reached:.4f} of {len(data.x_test):,} test images; of them cut to −1…1 {floor:.4f}")
        wanted = normalised(data.x_test)

        def judge(images: torch.Tensor, wanted: torch.Tensor = wanted, model: nn.Module = model, net: str = net) -> str:
            with torch.no_grad():
                rows = wanted[:SHOWN], model(data.x_test[:SHOWN]), images[:SHOWN]
            return f"mean square {float(mse_loss(images, wanted.double())):.4f}; {picture(net, rows, asked.out)}"

        asked.out.mkdir(parents=True, exist_ok=True)
        common.as_integers(net, model, data.x_test, judge)
        for part, name in ((model, ""), (model[0], "_encoder"), (model[1], "_decoder")):
            common.keep(f"ste_autoencoder_{net}{name}", part, asked)


if __name__ == "__main__":
    main()
