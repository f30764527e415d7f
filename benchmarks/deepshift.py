"""Train DeepShift's MNIST networks on a CPU, and the course notebook's: accuracy beside that of the authors.

    python benchmarks/deepshift.py --data FOLDER --cache FOLDER [--nets fc-ps conv-q course-q course-ps] [--epochs N]

``fc-ps`` (the authors: 98.26 %) and ``conv-q`` (98.81 %) are DeepShift's own; ``course-q`` is the notebook's first part, a
network with ordinary weights whose weights are then rounded, and nothing trained again (there 96 %), ``course-ps`` its second,
trained as shifts and signs from the start (95 %). Each leaves ``NET.pth``, a state_dict that
``dwn-hw check NET.pth --arch benchmarks/shift_nets.py:CLASS`` reads. ``--data`` holds ``mnist/*.gz``.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nets
import shift_nets
import torch
from torch import nn

from dwn_hw.nn import convert_to_shift
from dwn_hw.nn.training import Epoch, accuracy, fit


@dataclass(frozen=True, slots=True)
class Recipe:
    """``model`` trained for ``epochs``; ``crude``: its weights are then rounded; ``stated``: the accuracy to compare with."""

    model: Callable[[], nn.Module]
    arch: str
    epochs: int
    lr: float
    stated: str
    crude: bool = False
    batch_size: int = 64


RECIPES = {
    "fc-ps": Recipe(shift_nets.FcPs, "FcPs", 20, 1e-2, "98.26 % (Elhoushi et al.)"),
    "conv-q": Recipe(shift_nets.ConvQ, "ConvQ", 10, 1e-3, "98.81 % (Elhoushi et al.)"),
    "course-q": Recipe(shift_nets.course_float, "course_q", 5, 1e-3, "96 % (the notebook)", crude=True),
    "course-ps": Recipe(shift_nets.Course, "Course", 5, 1e-2, "95 % (the notebook)"),
}


def train(name: str, data: Path, cache: Path, epochs: int | None) -> None:
    """One of :data:`RECIPES`, its accuracy printed, its weights kept."""
    recipe = RECIPES[name]
    split = nets.images(data)
    x, x_test = (((images - 0.1307) / 0.3081).reshape(-1, 1, 28, 28) for images in (split.x, split.x_test))
    torch.manual_seed(0)
    model = recipe.model()
    count = epochs or recipe.epochs
    started = time.perf_counter()

    def progress(epoch: Epoch) -> None:
        print(
            f"{name}: epoch {epoch.number} of {epoch.epochs}, loss {epoch.loss:.4f}, {epoch.seconds:.0f} s", flush=True
        )

    lr_step = max(1, -(-count * 2 // 5))  # two fifths at the full rate, two at a tenth, the rest at a hundredth
    fit(model, x, split.y, epochs=count, batch_size=recipe.batch_size, lr=recipe.lr, lr_step=lr_step, progress=progress)
    if recipe.crude:
        print(f"{name}: {accuracy(model, x_test, split.y_test):.2%} with ordinary weights")
        model, _ = convert_to_shift(copy.deepcopy(model), 4, "Q")
    cache.mkdir(parents=True, exist_ok=True)
    reached = accuracy(model, x_test, split.y_test)
    torch.save(model.state_dict(), cache / f"{name}.pth")
    seconds = time.perf_counter() - started
    print(f"{name}: {reached:.2%} of 10,000 test images after {count} epochs, {seconds:.0f} s; stated: {recipe.stated}")


def main() -> None:
    """Every net asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--nets", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    for name in asked.nets:
        train(name, asked.data, asked.cache, asked.epochs)


if __name__ == "__main__":
    main()
