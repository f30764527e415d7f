"""Which of T numbers is the least, the next, …: a network with a layer of −1, 0 and 1, beside others without one.

    python examples/dab_sorting.py [--length 5] [--quick] [--nets signum plain tanh ste] [--samples N] [--lr LR] [--gamma G]
        [--seed N] [--epochs N] [-o FOLDER]

Section 4.1 of J. Ramapuram and R. Webb (arXiv:1905.03658), set up as in the authors' code (github.com/apple/ml-dab): T numbers
drawn evenly from 0…1, dense layers of 128, 128 and 256 with tanh, the signum with a margin of 0.5, T × T scores, and the loss of
every place summed. A sample counts as right if all T places are. Theirs: T = 5 99.3 %, T = 10 94.6 % after 2,168 passes over
2,000,000 samples at a rate of 10⁻⁴ with 10 times the bridge's loss, on a GPU; a plain dense network 86 % and 0 %. Here less is
trained at a higher rate, for which a tenth of the bridge's loss does better: 85 % beside 1 % after 2,000 steps.
``ste`` is the signum with the gradient of the identity, ``plain`` has nothing in its place. Each leaves
``dab_sort_T_NET.pt``, a state_dict for ``--arch examples/dab_sorting.py:signum5`` (``signum10``, …); a row of scores is a place,
and its arg-max the index of the number that stands there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import common
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dwn_hw.nn import dab

LATENT = 256

#: What stands before the last layer.
MIDDLES: dict[str, Callable[[float], nn.Module]] = {
    "signum": lambda gamma: dab.SignumWithMargin(0.5, dab.DenseApproximator(LATENT, LATENT), gamma),
    "plain": lambda gamma: nn.Identity(),
    "tanh": lambda gamma: nn.Tanh(),
    "ste": lambda gamma: dab.SignumWithMargin(0.5, nn.Identity(), 0),
}


def sorter(net: str, length: int, gamma: float = 0.1) -> nn.Module:
    """(samples, length) → (samples, places, numbers) scores."""
    half = LATENT // 2
    return nn.Sequential(
        nn.Linear(length, half),
        nn.Tanh(),
        nn.Linear(half, half),
        nn.Tanh(),
        nn.Linear(half, LATENT),
        nn.Tanh(),
        MIDDLES[net](gamma),
        nn.Linear(LATENT, length * length),
        nn.Unflatten(1, (length, length)),
    )


signum5, plain5, tanh5, ste5 = (partial(sorter, net, 5) for net in MIDDLES)
signum10, plain10, tanh10, ste10 = (partial(sorter, net, 10) for net in MIDDLES)
signum15, plain15, tanh15, ste15 = (partial(sorter, net, 15) for net in MIDDLES)


def loss(scores: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """The cross entropy of a place's scores, summed over places."""
    return cross_entropy(scores.flatten(0, 1), order.flatten()) * order.shape[1]


def samples(count: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers and the indices that sort them."""
    x = torch.rand(count, length, generator=torch.Generator().manual_seed(seed))
    return x, x.argsort(1)


@torch.no_grad()
def all_right(model: nn.Module, x: torch.Tensor, order: torch.Tensor) -> float:
    """The share of samples of which every place is right."""
    return share_right(torch.cat([model(part) for part in x.split(4096)]), order)


def share_right(scores: torch.Tensor, order: torch.Tensor) -> float:
    """The share of scores (samples, places, numbers) that are greatest at the right number in every place."""
    return float((scores.argmax(-1) == order).all(1).double().mean())


def main() -> None:
    """Train what is asked for."""
    parser = common.arguments(__doc__, epochs=30)
    parser.add_argument("--length", type=int, default=5, help="T, how many numbers are sorted")
    parser.add_argument("--nets", nargs="+", choices=MIDDLES, default=list(MIDDLES))
    parser.add_argument("--samples", type=int, default=500_000, help="to train with")
    parser.add_argument("--gamma", type=float, default=0.1, help="the weight of the bridge's loss")
    parser.add_argument("--lr", type=float, default=1e-3)
    asked = common.parsed(parser)
    count = 4096 if asked.quick else asked.samples
    x, order = samples(count, asked.length, asked.seed)
    x_test, order_test = samples(count // 5, asked.length, asked.seed + 1_000_000)
    for net in asked.nets:
        name = f"dab_sort_{asked.length}_{net}"
        model = common.seeded(partial(sorter, net, asked.length, asked.gamma), asked.seed)
        common.train(name, model, x, order, asked, loss=loss, lr=asked.lr, batch_size=1024)
        right = all_right(model, x_test, order_test)
        print(f"{name}: all {asked.length} places right in {right:.2%} of {len(x_test):,} unseen samples")
        common.keep(name, model, asked)
        steps = torch.floor(x_test * 1024) / 1024  # codes of ten bits
        wanted = steps.argsort(dim=1, stable=True)

        def judge(scores: torch.Tensor, wanted: torch.Tensor = wanted) -> str:
            return f"all places right in {share_right(scores, wanted):.2%}"

        common.as_integers(name, model, steps, judge)


if __name__ == "__main__":
    main()
