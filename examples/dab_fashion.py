"""Fashion-MNIST through a hard function in one place of a small network: each bridge, a straight-through sign, and nothing.

    python examples/dab_fashion.py [--quick] [--nets signum sort top kmeans mean ste identity] [--seed N] [--epochs N]
        [--data FOLDER] [-o FOLDER]

Two convolutions and two dense layers; the function stands between the latter, where a sample has 64 numbers, 8 × 8 for rows and
columns, clamped to −1…1: an approximator is right only near the values that it has seen, and without the clamp numbers that are
sorted run away. Each leaves ``dab_fashion_NET.pt``, a state_dict for ``--arch examples/dab_fashion.py:NET``. Samples are the
images' own numbers, 0…255.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import common
from torch import nn

from dwn_hw.nn import StraightThroughEstimator, dab
from dwn_hw.nn.training import accuracy

WIDTH, SIDE, FIRST, CENTROIDS, CLASSES = 64, 8, 4, 4, 10

#: The weight of a bridge's loss, which is summed over 64 numbers.
GAMMA = 0.01

#: What stands in the middle, and how many numbers it gives.
MIDDLES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "signum": (lambda: dab.SignumWithMargin(0.5, dab.DenseApproximator(WIDTH, WIDTH), GAMMA), WIDTH),
    "sort": (lambda: _by_rows(dab.Sort((SIDE, SIDE), "rows and columns", gamma=GAMMA)), 2 * WIDTH),
    "top": (lambda: _by_rows(dab.TopK(FIRST, (SIDE, SIDE), "rows and columns", gamma=GAMMA)), 2 * SIDE * FIRST),
    "kmeans": (lambda: dab.KMeans(CENTROIDS, gamma=GAMMA), WIDTH),
    "mean": (lambda: dab.BinaryByMean(gamma=GAMMA), WIDTH),
    "ste": (StraightThroughEstimator, WIDTH),
    "identity": (nn.Identity, WIDTH),
}


def _by_rows(bridge: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (SIDE, SIDE)), bridge)


def classifier(net: str) -> nn.Module:
    """(samples, 1, 28, 28) → (samples, 10) scores."""
    make, outputs = MIDDLES[net]
    return nn.Sequential(
        common.Scaler(1),
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, WIDTH),
        nn.Hardtanh(),
        make(),
        nn.Linear(outputs, CLASSES),
    )


signum, sort, top, kmeans, mean, ste, identity = (partial(classifier, net) for net in MIDDLES)


def main() -> None:
    """Train what is asked for."""
    parser = common.arguments(__doc__, epochs=5)
    parser.add_argument("--nets", nargs="+", choices=MIDDLES, default=list(MIDDLES))
    asked = common.parsed(parser)
    data = common.images(asked, "fashion-mnist")
    for net in asked.nets:
        model = common.seeded(partial(classifier, net), asked.seed)
        model[0].fit(data.x.flatten().unsqueeze(1))
        common.train(net, model, data.x, data.y, asked)
        right = accuracy(model, data.x_test, data.y_test)
        print(f"{net}: {right:.2%} of {len(data.y_test):,} test images")
        common.keep(f"dab_fashion_{net}", model, asked)
        common.as_integers(net, model, data.x_test, lambda scores: common.share(scores, data.y_test))


if __name__ == "__main__":
    main()
