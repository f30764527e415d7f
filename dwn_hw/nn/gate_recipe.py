"""What a network of two-input gates is trained by, with defaults that follow from the data.

After Petersen et al., "Deep Differentiable Logic Gate Networks", NeurIPS 2022: layers of one width, wires that are drawn once,
and a vote over groups. A gate is a LUT of two inputs, trained by the finite difference of a DWN, and begins as a wire: it
passes its first input on (as residual gates do, Petersen et al. 2024), so that a deep network begins as a shallow one.

The rules, each a starting point. Thermometer bits as a DWN's. Four layers, of five times a DWN's LUTs each, the vote's
temperature the square root of a class's gates, divided by 2.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from dwn_hw.errors import OptionError, Problem
from dwn_hw.nn import recipe
from dwn_hw.nn._checks import real_number, whole_number

#: The layers by default, the gates of a layer for each LUT of a DWN, and the part of the vote's root that is its temperature.
_LAYERS, _GATES_A_LUT, _TAU = 4, 5, 2.4


@dataclass(frozen=True, slots=True)
class GateRecipe:
    """All that decides a training of gates, beside the samples. ``luts``: the gates of each layer.

    ``patience``: after so many epochs without a better validation accuracy the training ends; 0: never.
    """

    luts: tuple[int, ...]
    thermometer: str
    bits: int
    tau: float
    epochs: int
    batch_size: int
    lr: float
    patience: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("bits", "epochs", "batch_size"):
            whole_number(f"--{name.replace('_', '-')}", getattr(self, name))
        for width in self.luts:
            whole_number("--luts", width)
        for name in ("tau", "lr"):
            real_number(f"--{name}", getattr(self, name), positive=True)
        recipe.check_layers(self.luts, self.thermometer)

    def told(self) -> list[str]:
        """The recipe in words, one line a subject."""
        layers = ", ".join(map(str, self.luts))
        pace = f"batches of {self.batch_size}, learning rate {self.lr:g}, patience {self.patience}, seed {self.seed}"
        return [
            f"{self.bits} {self.thermometer} thresholds a feature; layers of {layers} gates of 2 inputs, tau {self.tau:g}",
            f"at most {self.epochs} epochs, {pace}",
        ]


def for_data(x: npt.NDArray[Any], classes: int, given: dict[str, Any]) -> GateRecipe:
    """The recipe for samples ``x`` (samples, features) of so many classes: as ``given``, and for the rest by rule."""
    like = recipe.for_data(x, classes, bits=given.get("bits"))
    luts = tuple(given.get("luts") or (_GATES_A_LUT * like.luts[0],) * _LAYERS)
    defaults = {
        "luts": luts,
        "thermometer": like.thermometer,
        "bits": like.bits,
        "tau": round(max(1.0, math.sqrt(luts[-1] / classes) / _TAU), 3),
        **{name: getattr(like, name) for name in ("epochs", "batch_size", "lr", "patience", "seed")},
    }
    made = GateRecipe(**{**defaults, **given})
    if made.luts[-1] < classes:
        rule = f"a last layer of at least the {classes} classes"
        raise OptionError(Problem("--luts", rule, f"{made.luts[-1]}", f"Ask for {classes} or more."))
    return made
