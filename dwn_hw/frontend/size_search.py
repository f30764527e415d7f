"""The largest network of LUTs that fits a budget: untrained networks of few sizes are drawn and measured.

What a network takes is known above this room, so it is handed in as a function (:class:`Budget`). An untrained network stands
for the trained one of its size: its wires and tables are drawn as a training begins with, its thermometer is fitted on the
samples. Trained it may be smaller, or a little larger; so what was trained is measured again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw._json import Document
from dwn_hw._progress import Progress
from dwn_hw.errors import OptionError, Problem, Unfit
from dwn_hw.frontend.extract import extract_modules
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.ir.columns import TableCoding
from dwn_hw.ir.sample_files import Samples

#: The most sizes that are measured for a number of thermometer bits, and the share of the budget from which on a size is good
#: enough: in the end, and to see whether fewer bits are better.
_MOST_TRIES, _GOOD, _ENOUGH = 9, 0.985, 0.8

#: What a guess leaves of the budget: half of what is good enough.
_LEFT = (1 - _GOOD) / 2

#: The most trainings, each smaller than the one before, and what of the budget the next is meant to take.
_TRAININGS, _LESS = 3, 0.97

#: The most networks that are lowered as an export is, to correct the others by.
_CORRECTIONS = 4

#: The most that a layer grows above the rule's: so many times, and so many LUTs a class.
_GROWTH, _MOST_A_CLASS = 20, 1000

#: How much larger than one with random tables a trained network of a kind is found to be, where it is.
_GROWS = {"difflogic-like": 1.1}

#: The samples by which the port of an untrained network is chosen.
_SAMPLES = 2000

#: A network is at least so much wider for each halving of the thermometer's bits; else the bits are worth more.
_GAIN = 1.15


class Care(Enum):
    """How a network is measured: by what is found at once, which is somewhat more; lowered as an export is; or planned as one."""

    QUICK = "quick"
    LOWERED = "lowered"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a network takes: ``needs`` by kind, and as ``share`` the greatest part of the budget; at most 1: it fits."""

    needs: dict[str, float]
    share: float

    def __str__(self) -> str:
        return ", ".join(f"{count:,g} {kind}" for kind, count in self.needs.items())


@dataclass(frozen=True, slots=True)
class Budget:
    """``told``: what there is, in words. ``measure``: what a network takes, with these samples to choose its port by.

    ``options``: what an export is to be told, so that it takes the same. ``board``: what it is built for.
    """

    told: str
    measure: Callable[[TrainedDwn, Samples | None, Care], Measured]
    options: str = ""
    board: str | None = None


@dataclass(frozen=True, slots=True)
class Sized:
    """A size that fits: ``units`` LUTs a class in each layer, on ``bits`` thresholds a feature, and what it takes by estimate.

    ``most``: whether no larger size was allowed, though the budget holds more.
    """

    units: int
    bits: int
    estimate: Measured
    most: bool


class Search:
    """Sizes of a ``kind`` for samples ``x`` (samples, features) of the classes ``names``, as ``asked``, within a ``budget``.

    ``table``: what columns the features were made of.
    """

    def __init__(
        self,
        budget: Budget,
        kind: str,
        x: npt.NDArray[np.float32],
        names: tuple[str, ...],
        asked: Mapping[str, Any],
        table: TableCoding | None = None,
    ) -> None:
        from dwn_hw.nn import recipes

        self.budget, self.kind, self.x, self.names, self.table = budget, kind, x, names, table
        self.asked = {name: value for name, value in asked.items() if value is not None}
        if "luts" in self.asked:
            rule = "not with --luts, which is what they choose"
            raise OptionError(Problem("--budget-lut, --board", rule, "--luts as well", "Leave one of them out."))
        usual: Any = recipes.for_data(kind, x, len(names), self.asked)
        self._layers, self._bits = len(usual.luts), int(usual.bits)
        self._usual = max(1, usual.luts[0] // len(names))
        self._most = min(_GROWTH * self._usual, max(_MOST_A_CLASS, self._usual))
        self._thermometers: dict[int, Any] = {}
        self._points: dict[int, dict[int, Measured]] = {}
        self._lowered: dict[int, dict[int, Measured]] = {}
        self._ratio = 1.0

    def recipe(self, units: int, bits: int) -> Any:
        """The recipe of a size."""
        from dwn_hw.nn import recipes

        given = {**self.asked, "luts": (units * len(self.names),) * self._layers, "bits": bits}
        return recipes.for_data(self.kind, self.x, len(self.names), given)

    def largest(self, progress: Progress) -> Sized:
        """The largest size that fits. Raises OptionError, with what the smallest takes, where none does."""
        bits = self._bits
        units = self._near(bits, self._usual, _ENOUGH, progress)
        while bits > 1 and "bits" not in self.asked and units < self._most:
            # Half of the bits, where what they leave makes the network wider by 15 %.
            fitting = self._points[bits].get(units)
            wider = self._usual if fitting is None else min(math.ceil(_GAIN * units / fitting.share), self._most)
            if fitting is not None and self._measured(wider, bits // 2, progress).share > 1:
                break
            bits //= 2
            units = self._near(bits, wider, _ENOUGH, progress)
        for _ in range(_CORRECTIONS):
            units = self._near(bits, units or 1, _GOOD, progress)
            if units in self._lowered.get(bits, {}) or not units:
                break
            self._correct(units, bits, progress)
        lowered = {size: found for size, found in self._lowered.get(bits, {}).items() if found.share <= 1}
        lowered = lowered or self._smallest(bits, progress)
        units = max(lowered)
        return Sized(units, bits, lowered[units], units == self._most)

    def _smallest(self, bits: int, progress: Progress) -> dict[int, Measured]:
        """What the smallest network takes, if it fits. Raises OptionError with it if not."""
        least = self._correct(1, bits, progress)
        if least.share > 1:
            rule = f"at least {least}, which the smallest network takes by estimate ({_told(1, bits)})"
            raise OptionError(
                Problem("--budget-lut, --board", rule, self.budget.told, "Give that much, or fewer features.")
            )
        return {1: least}

    def begun(self, state: Any, sized: Sized) -> int:
        """The units of the training that a ``state`` is of: those found, or fewer where it did not fit. Raises OptionError."""
        told = state.get("budget") if isinstance(state, Mapping) else None
        if told != self.budget.told:
            rule, remedy = "the budget that the training began with", "Ask for that, or begin again without --resume."
            raise OptionError(Problem("--resume", rule, f"{told or 'none'} and {self.budget.told}", remedy))
        units = int(state["recipe"].get("luts", [0])[0]) // len(self.names)
        return units if 0 < units < sized.units else sized.units

    def _near(self, bits: int, units: int, good: float, progress: Progress) -> int:
        """The largest size with so many thermometer bits, searched from ``units`` until a share is ``good``; 0: none fits."""
        for _ in range(_MOST_TRIES):
            self._measured(units, bits, progress)
            points = self._points[bits]
            fits = max((size for size, found in points.items() if found.share <= 1), default=0)
            over = min((size for size, found in points.items() if found.share > 1), default=self._most + 1)
            if over - fits <= 1 or (fits and points[fits].share >= good):
                break
            units = min(max(_guess(points), fits + 1), over - 1)
        return fits

    def _measured(self, units: int, bits: int, progress: Progress) -> Measured:
        """About what an untrained network of a size takes."""
        points = self._points.setdefault(bits, {})
        if units not in points:
            found = self._drawn(units, bits, Care.QUICK)
            points[units] = replace(found, share=found.share * self._ratio)
            progress(f"choosing the size: {_told(units, bits)}, about {found}")
        return points[units]

    def _correct(self, units: int, bits: int, progress: Progress) -> Measured:
        """What an untrained network of a size takes, lowered; what was measured quickly is corrected by it."""
        quick, found = self._measured(units, bits, progress), self._drawn(units, bits, Care.LOWERED)
        progress(f"choosing the size: {_told(units, bits)} take {found}")
        self._lowered.setdefault(bits, {})[units] = found
        by = found.share / quick.share
        self._ratio *= by
        self._points = {
            few: {size: replace(point, share=point.share * by) for size, point in points.items()}
            for few, points in self._points.items()
        }
        return found

    def _drawn(self, units: int, bits: int, care: Care) -> Measured:
        from dwn_hw.nn import prepared

        recipe = self.recipe(units, bits)
        if bits not in self._thermometers:
            self._thermometers[bits] = prepared.fit(recipe, self.x)
        model = prepared.drawn(recipe, self.x.shape[1] * bits, len(self.names)).eval()
        samples = Samples(self.x[:_SAMPLES], None, None, "the training samples")
        trained = extract_modules(model, self._thermometers[bits].thermometer, None, self.names, table=self.table)
        found = self.budget.measure(trained, samples, care)
        return replace(found, share=found.share * _GROWS.get(self.kind, 1.0))


def _told(units: int, bits: int) -> str:
    return f"{units} LUT{'s' * (units != 1)} a class, {bits} threshold{'s' * (bits != 1)} a feature"


def _guess(points: Mapping[int, Measured]) -> int:
    """The size at which the line through the two sizes nearest to the budget meets it, or with one the line through nothing."""
    (near, found), *others = sorted(points.items(), key=lambda point: abs(point[1].share - 1))[:2]
    slope = found.share / near
    for size, other in others:
        slope = (found.share - other.share) / (near - size)
    return near + math.floor((1 - _LEFT - found.share) / slope) if slope > 0 else near


def train(
    search: Search,
    trained: Callable[[Any, Any], tuple[Any, Any]],
    samples: Samples | None,
    state: Any,
    progress: Progress,
) -> tuple[Any, Any, Document]:
    """(training, model, what is said of the budget) of the largest size that fits; of a smaller where the trained one does not.

    ``trained``: trains by a recipe, from a ``state`` if that is not None. ``samples``: those that the export's port will be
    chosen by. Raises Unfit after three trainings.
    """
    budget = search.budget
    sized = search.largest(progress)
    units, planned = sized.units if state is None else search.begun(state, sized), []
    for _ in range(_TRAININGS):
        training, model = trained(search.recipe(units, sized.bits), state)
        loaded = extract_modules(model, training.prepared.thermometer, None, search.names, table=search.table)
        found = budget.measure(loaded, samples, Care.PLANNED)
        planned.append(found)
        if found.share <= 1:
            told: Document = {"asked": budget.told, "estimate": sized.estimate.needs, "planned": found.needs}
            told |= {"share": round(found.share, 4), "trainings": len(planned), "largest_allowed": sized.most}
            return training, model, told
        if units == 1:
            break
        progress(f"trained it takes {found}, which is more than {budget.told}: a smaller one is trained")
        state, units = None, max(1, min(units - 1, math.floor(_LESS * units / found.share)))
    times = f"{len(planned)} training{'s' * (len(planned) != 1)}"
    tried = "; ".join(map(str, planned))
    raise Unfit(f"no network fits {budget.told} after {times}, each smaller than the one before: they took {tried}")
