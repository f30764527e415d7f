"""MNIST, 784-1024-1024-10, through activations of two and of ten values, beside real-valued ones.

    python examples/ste_mnist.py [--quick] [--nets float binary levels] [--seed N] [--epochs N] [--data FOLDER] [-o FOLDER]

L. Girrbach's notebook (github.com/LGirrbach/Discrete-Latent-Representation) has these networks: 97 % each, after 5, 10 and 25
epochs. Each leaves ``ste_mnist_NET.pt``, a state_dict for ``--arch examples/ste_mnist.py:NET`` (``float``: ``real``). The scaler
is the first layer, so that samples are the images' own numbers, 0…255; as the pixels of MNIST are alike, all have one mean
and one deviation, and weights that are rounded need not span the deviations of pixels that are hardly ever lit.
"""

from __future__ import annotations

import common
from torch import nn

from dwn_hw.nn import BinaryDiscretizer, MultiDiscretizer, StraightThroughWrapper
from dwn_hw.nn.training import accuracy

PIXELS, HIDDEN, CLASSES, LEVELS = 784, 1024, 10, 10


def real(hidden: int = HIDDEN) -> nn.Module:
    """The network with sigmoids."""
    return nn.Sequential(
        nn.Flatten(),
        common.Scaler(PIXELS),
        nn.Linear(PIXELS, hidden),
        nn.Sigmoid(),
        nn.Linear(hidden, hidden),
        nn.Sigmoid(),
        nn.Linear(hidden, CLASSES),
    )


def binary(hidden: int = HIDDEN) -> nn.Module:
    """What its sigmoids give, as 0 or 1."""
    return nn.Sequential(
        nn.Flatten(),
        common.Scaler(PIXELS),
        nn.Linear(PIXELS, hidden),
        nn.Sigmoid(),
        StraightThroughWrapper(nn.Linear(hidden, hidden), BinaryDiscretizer()),
        nn.Sigmoid(),
        StraightThroughWrapper(nn.Linear(hidden, CLASSES), BinaryDiscretizer()),
    )


def levels(hidden: int = HIDDEN) -> nn.Module:
    """ReLU, and what it gives as one of ten learnt levels, others in each layer."""
    return nn.Sequential(
        nn.Flatten(),
        common.Scaler(PIXELS),
        nn.Linear(PIXELS, hidden),
        nn.ReLU(),
        StraightThroughWrapper(nn.Linear(hidden, hidden), MultiDiscretizer(LEVELS)),
        nn.ReLU(),
        StraightThroughWrapper(nn.Linear(hidden, CLASSES), MultiDiscretizer(LEVELS)),
    )


NETS = {"float": real, "binary": binary, "levels": levels}


def main() -> None:
    """Train what is asked for."""
    parser = common.arguments(__doc__, epochs=10)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    asked = common.parsed(parser)
    data = common.images(asked, "mnist")
    for net in asked.nets:
        model = common.seeded(lambda net=net: NETS[net](64 if asked.quick else HIDDEN), asked.seed)
        model[1].fit(data.x.flatten().unsqueeze(1))
        common.train(net, model, data.x, data.y, asked)
        right = accuracy(model, data.x_test, data.y_test)
        print(f"{net}: {right:.2%} of {len(data.y_test):,} test images; the notebook: 97 %")
        common.keep(f"ste_mnist_{net}", model, asked)
        if net != "float":
            bits = ("8",) if asked.quick else ("8", "6", "4", "3", "2")
            common.as_integers(net, model, data.x_test, lambda scores: common.share(scores, data.y_test), bits)


if __name__ == "__main__":
    main()
