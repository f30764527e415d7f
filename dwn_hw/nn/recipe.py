"""What a DWN is trained by: sizes, thermometer, temperature, and how long; with defaults that follow from the data.

The rules, each a starting point that a search may better. Thermometer bits: as many as a feature has steps, at most 32, and about
2,000 for all features of more than two values, at least 3. One layer of LUTs: a twentieth of the training samples, from 20 to
100 a class. Temperature: the square root of a class's LUTs, divided by 1.65, as the published networks have it. A slot chooses
among all bits where that is at most 16 million weights and at most half of them repeat others, as those of 0 and 1 do; else
among 16 at a time, which are renewed. Batches: a hundredth of the samples, from 32 to 128.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import OptionError, Problem
from dwn_hw.nn._checks import real_number, whole_number

#: Thermometers by name: thresholds that are quantiles of the data, or evenly spaced, or of a normal distribution.
THERMOMETERS = ("distributive", "linear", "gaussian")

#: The most thermometer bits of a feature, about how many all features have, and the fewest.
_MOST_BITS, _ALL_BITS, _FEWEST_BITS = 32, 2000, 3

#: The LUTs of a class: a LUT for so many samples, at least and at most.
_SAMPLES_A_LUT, _FEWEST_LUTS, _MOST_LUTS = 20, 20, 100

#: The weights of a mapping from which slots choose among candidates, and how many.
_MOST_WEIGHTS, _CANDIDATES = 16_000_000, 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a training, beside the samples. ``candidates`` 0: a slot of the first layer chooses among all bits.

    ``patience``: after so many epochs without a better validation accuracy the training ends; 0: never.
    ``cheap_encoder``: how many slots of the first layer must read a comparison for each LUT that it takes
    (:mod:`dwn_hw.nn.cheap_encoder`); 0: none.
    ``prune``: the share of the last layer that goes in training, being what the vote needs least (:mod:`dwn_hw.nn.pruning`).
    """

    luts: tuple[int, ...]
    n: int
    thermometer: str
    bits: int
    tau: float
    candidates: int
    epochs: int
    batch_size: int
    lr: float
    patience: int
    seed: int
    cheap_encoder: float = 0.0
    prune: float = 0.0

    def __post_init__(self) -> None:
        for name in ("bits", "epochs", "batch_size"):
            whole_number(f"--{name.replace('_', '-')}", getattr(self, name))
        for width in self.luts:
            whole_number("--luts", width)
        whole_number("--n", self.n, highest=8)
        for name in ("tau", "lr"):
            real_number(f"--{name}", getattr(self, name), positive=True)
        check_layers(self.luts, self.thermometer)
        weight, share = real_number("--cheap-encoder", self.cheap_encoder), real_number("--prune", self.prune)
        if weight < 0 or not 0 <= share < 1:
            rule = "a weight of at least 0, and a share from 0 up to less than 1"
            raise OptionError(
                Problem("--cheap-encoder, --prune", rule, f"{weight:g}, {share:g}", "Leave them out for none.")
            )

    def told(self) -> list[str]:
        """The recipe in words, one line a subject."""
        wires = "all bits" if not self.candidates else f"{self.candidates} candidates"
        layers = ", ".join(map(str, self.luts))
        size = f"layers of {layers} LUTs of {self.n} inputs, the first with a choice among {wires}, tau {self.tau:g}"
        pace = f"batches of {self.batch_size}, learning rate {self.lr:g}, patience {self.patience}, seed {self.seed}"
        cheaper = [f"a comparison for {self.cheap_encoder:g} readers or more a LUT"] * (self.cheap_encoder > 0)
        cheaper += [f"the last layer pruned by {self.prune:.0%}"] * (self.prune > 0)
        lines = [
            f"{self.bits} {self.thermometer} thresholds a feature; {size}",
            f"at most {self.epochs} epochs, {pace}",
        ]
        return lines + ["; ".join(cheaper)] * bool(cheaper)


def check_layers(luts: tuple[int, ...], thermometer: str) -> None:
    """Raise OptionError where there is no layer, or a thermometer that is not known."""
    if not luts or thermometer not in THERMOMETERS:
        rule = f"some layers, and a thermometer of {', '.join(THERMOMETERS)}"
        got = f"{luts}, {thermometer!r}"
        raise OptionError(Problem("--luts, --thermometer", rule, got, "Leave them out for the defaults."))


def batch_of(samples: int) -> int:
    """The samples of a step: about a hundredth of all."""
    return min(max(1 << (max(1, samples // 100)).bit_length() - 1, 32), 128)


def _bits(values: Sequence[int]) -> int:
    """The thermometer bits of a feature by rule, where features have so many ``values``."""
    graded = max(1, sum(count > 2 for count in values))
    return max(1, min(max(values) - 1, _MOST_BITS, max(_FEWEST_BITS, _ALL_BITS // graded)))


def for_data(x: npt.NDArray[Any], classes: int, **asked: Any) -> Recipe:
    """The recipe for samples ``x`` (samples, features) of so many classes: as ``asked``, and for the rest (None) by rule."""
    given = {name: value for name, value in asked.items() if value is not None}
    samples, features = x.shape
    values = [len(np.unique(x[:, feature])) for feature in range(features)]
    bits = given.get("bits") or _bits(values)
    each = min(max(samples // classes // _SAMPLES_A_LUT, _FEWEST_LUTS), _MOST_LUTS)
    luts, n = tuple(given.get("luts") or (each * classes,)), given.get("n", 6)
    epochs = given.get("epochs", 30)
    weights = features * bits * luts[0] * n if luts else 0
    few_repeat = 2 * sum(min(bits, count - 1) for count in values) >= features * bits
    defaults = {
        "luts": luts,
        "n": n,
        "thermometer": "distributive",
        "bits": bits,
        "tau": round(max(1.0, math.sqrt((luts or (1,))[-1] / classes) / 1.65), 3),
        "candidates": 0 if weights <= _MOST_WEIGHTS and few_repeat else min(_CANDIDATES, features * bits),
        "epochs": epochs,
        "batch_size": batch_of(samples),
        "lr": 1e-2,
        "patience": 10,
        "seed": 0,
    }
    recipe = Recipe(**{**defaults, **given})
    if recipe.luts[-1] < classes:
        rule = f"a last layer of at least the {classes} classes"
        raise OptionError(Problem("--luts", rule, f"{recipe.luts[-1]}", f"Ask for {classes} or more."))
    if recipe.candidates > features * recipe.bits:
        rule = f"at most the {features * recipe.bits} bits that there are"
        raise OptionError(Problem("--candidates", rule, f"{recipe.candidates}", "Ask for fewer, or for 0: all."))
    return recipe
