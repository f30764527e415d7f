"""Fashion-MNIST through layers of LUTs that read a convolution's bits: one network of both kinds.

    python examples/hybrid.py [--quick] [--seed N] [--epochs N] [--data FOLDER] [-o FOLDER]

A convolution of 3 × 3 by strides of 2 gives a number for each of 16 channels and 14 × 14 places, a straight-through step makes it
a bit, and DWN's LUTs of six inputs and a vote do the rest: behind the first layer there is no product. Beside it ``direct``: the
same LUTs on a thermometer of three thresholds a pixel, which is a quarter fewer bits. Each leaves ``hybrid_NET.pt``, the first a
state_dict for ``--arch examples/hybrid.py:convolved``.
"""

from __future__ import annotations

from functools import partial

import common
import torch
from torch import nn

from dwn_hw.nn import DistributiveThermometer, GroupSum, LUTLayer, StraightThroughEstimator
from dwn_hw.nn.training import accuracy

CHANNELS, LUTS, CLASSES, BITS = 16, 1000, 10, 3


def voted(bits: int) -> list[nn.Module]:
    """Layers of LUTs on so many bits, and the vote."""
    wires = LUTLayer(bits, LUTS, n=6, mapping="learnable", candidates=16)
    return [wires, LUTLayer(LUTS, LUTS, n=6), GroupSum(CLASSES, tau=LUTS / CLASSES / 10)]


def convolved() -> nn.Module:
    """Images (samples, 1, 28, 28) of 0…255 → scores, by a convolution's bits."""
    front = [common.Scaler(1), nn.Conv2d(1, CHANNELS, 3, stride=2, padding=1), StraightThroughEstimator(), nn.Flatten()]
    return nn.Sequential(*front, *voted(CHANNELS * 14 * 14))


def direct(x: torch.Tensor) -> nn.Module:
    """The same by thresholds that are fitted to images."""
    thermometer = DistributiveThermometer(BITS).fit(x.flatten(1))
    return nn.Sequential(nn.Flatten(), thermometer, nn.Flatten(), *voted(BITS * 28 * 28))


def main() -> None:
    """Train both."""
    asked = common.parsed(common.arguments(__doc__, epochs=5))
    data = common.images(asked, "fashion-mnist")
    for net, build in (("convolved", convolved), ("direct", partial(direct, data.x))):
        model = common.seeded(build, asked.seed)
        if net == "convolved":
            model[0].fit(data.x.flatten().unsqueeze(1))
        common.train(net, model, data.x, data.y, asked, lr=1e-2)
        right = accuracy(model, data.x_test, data.y_test)
        print(f"{net}: {right:.2%} of {len(data.y_test):,} test images")
        common.keep(f"hybrid_{net}", model, asked)


if __name__ == "__main__":
    main()
