"""What a network that shifts and adds is trained by, with defaults that follow from the data.

Layers of DeepShift's Q (:class:`dwn_hw.nn.LinearShiftQ`) with ReLU between, which floor what comes in and their biases to one
format, so that the hardware's numbers are those that were trained with.

The rules, each a starting point. One hidden layer: 8 units a class, from 32 to 128. Weights of 4 bits: from 1/128 to 1.
Activations of 6 bits before the point, the sign among them, and 4 behind it. Batches as a DWN's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from dwn_hw.nn import recipe
from dwn_hw.nn._checks import real_number, whole_number

#: The units of a hidden layer for each class, at least and at most.
_UNITS_A_CLASS, _FEWEST_UNITS, _MOST_UNITS = 8, 32, 128


@dataclass(frozen=True, slots=True)
class ShiftRecipe:
    """All that decides a training of shift layers, beside the samples. ``hidden``: the units of each hidden layer.

    ``weight_bits``: the sign among them. ``integer_bits``, ``fraction_bits``: of activations, the sign among the first.
    """

    hidden: tuple[int, ...]
    weight_bits: int
    integer_bits: int
    fraction_bits: int
    epochs: int
    batch_size: int
    lr: float
    patience: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            whole_number(f"--{name.replace('_', '-')}", getattr(self, name))
        for width in self.hidden:
            whole_number("--hidden", width)
        whole_number("--weight-bits", self.weight_bits, 2, 8)
        whole_number("--integer-bits", self.integer_bits, 2, 16)
        whole_number("--fraction-bits", self.fraction_bits, 0, 16)
        real_number("--lr", self.lr, positive=True)

    def told(self) -> list[str]:
        """The recipe in words, one line a subject."""
        layers = f"hidden layers of {', '.join(map(str, self.hidden))} units" if self.hidden else "no hidden layer"
        numbers = f"weights of {self.weight_bits} bits, activations {self.integer_bits}.{self.fraction_bits}"
        pace = f"batches of {self.batch_size}, learning rate {self.lr:g}, patience {self.patience}, seed {self.seed}"
        return [f"{layers}, {numbers}", f"at most {self.epochs} epochs, {pace}"]


def for_data(x: npt.NDArray[Any], classes: int, given: dict[str, Any]) -> ShiftRecipe:
    """The recipe for samples ``x`` (samples, features) of so many classes: as ``given``, and for the rest by rule."""
    defaults = {
        "hidden": (min(max(_UNITS_A_CLASS * classes, _FEWEST_UNITS), _MOST_UNITS),),
        "weight_bits": 4,
        "integer_bits": 6,
        "fraction_bits": 4,
        "epochs": 30,
        "batch_size": recipe.batch_of(len(x)),
        "lr": 1e-2,
        "patience": 10,
        "seed": 0,
    }
    return ShiftRecipe(**{**defaults, **given})
