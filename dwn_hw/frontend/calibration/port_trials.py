"""Tries a model behind many ports: its predictions on samples, without freezing it for each.

The model is frozen once, on a grid so fine that nothing is lost, and optimised. Of a feature it then sees no more than its
*level* (:mod:`dwn_hw.frontend.calibration.widths`). So the network is rewritten to take levels as its codes; behind another
port it is given other levels.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.frontend import freeze_dwn, input_port
from dwn_hw.frontend.calibration import widths
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.ir import passes
from dwn_hw.ir.codes import to_grid
from dwn_hw.ir.emulate import Emulator

Predictions = npt.NDArray[np.int64]

#: A format that holds every code of the finest grid of any feature.
_FINE = ir.Format(48, signed=True)

#: The number of samples on which it is tried how often another level of a feature is another prediction.
PROBES = 256

#: The number of samples whose thermometer bits are held at once.
_CHUNK = 8192


class Trial:
    """Tries ``model`` on samples ``x`` (samples, features), numbers in the user's own units.

    ``comparisons`` says what the comparisons of a feature cost; ``rounding``, how a host rounds to each port.
    """

    def __init__(
        self, model: TrainedDwn, x: npt.NDArray[Any], comparisons: widths.ComparisonCost, rounding: str = ir.NEAREST
    ) -> None:
        self.model, self.x, self.rounding, self._comparisons = model, x, rounding, comparisons
        self.finest = widths.finest_steps(freeze_dwn.raw_thresholds(model), x)
        self._frozen = freeze_dwn.freeze_dwn(
            model, input_port.Port((_FINE,), self.finest, (Fraction(0),), "calibrated", "")
        )
        network, self.cuts = _of_levels(passes.optimize(self._frozen))
        self._emulator = Emulator(network)
        self._exact = np.empty((len(x), len(self.cuts)), np.min_scalar_type(max(map(len, self.cuts))))
        for feature, (cuts, step) in enumerate(zip(self.cuts, self.finest, strict=True)):
            with np.errstate(over="ignore"):  # to infinity, beyond all cuts
                codes = to_grid(x[:, feature].astype(np.float64), float(1 / step), 0.0, rounding)
            self._exact[:, feature] = np.searchsorted(np.array(cuts), codes, side="right")
        self._answers = self._emulator.run(self._exact)[1]
        self._levels = self._exact.copy()
        self._grids: list[widths.Grid | None] = [None] * len(self.cuts)

    def wanted(self) -> Predictions:
        """The classes (samples,) that the model gives on the real numbers, in its own arithmetic."""
        bits = ir.Input((self.model.thresholds.size,), (ir.BIT,))
        emulator = Emulator(ir.Network(bits, self._frozen.nodes[1:]))
        dtype = freeze_dwn.model_dtype(self.model)
        parts = [self.x[start : start + _CHUNK] for start in range(0, len(self.x), _CHUNK)]
        answers = [emulator.run(self.model.binarize(part.astype(dtype)).reshape(len(part), -1))[1] for part in parts]
        return np.concatenate(answers)

    def predict(self, grids: Sequence[widths.Grid]) -> Predictions:
        """The classes (samples,) that the model gives behind a port of these grids."""
        for feature, grid in enumerate(grids):
            if grid != self._grids[feature]:
                column = self.x[:, feature].astype(np.float64)
                self._levels[:, feature] = grid.levels(column, self.cuts[feature], self.finest[feature], self.rounding)
                self._grids[feature] = grid
        moved = (self._levels != self._exact).any(axis=1)
        answers = self._answers.copy()
        answers[moved] = self._emulator.run(self._levels[moved])[1]
        return answers

    def bits_to_keep_levels(self, part: npt.NDArray[np.intp]) -> int:
        """The bits of all features together at which no sample of ``part`` (indices) has another level of any feature."""
        total = 0
        for feature, cuts in enumerate(self.cuts):
            exact, column = self._exact[part, feature], self.x[part, feature].astype(np.float64)
            grids = widths.grids(column, cuts, exact.astype(np.int64), self.finest[feature], self.rounding)
            total += next(grid.bits for grid, levels in grids if (levels == exact).all() or grid is grids[-1][0])
        return total

    def choices(self, feature: int, part: npt.NDArray[np.intp]) -> tuple[widths.Choice, ...]:
        """The best grid of 1, 2, … bits for a feature, and what it puts at risk, judged by a ``part`` of the samples (indices).

        The risk is the number of predictions that it is expected to change: samples whose level changes, times how often
        that matters. Half the width of a step is half the risk, also where so few samples are at hand that none changes.
        """
        cuts, exact = self.cuts[feature], self._exact[part, feature]
        column = self.x[part, feature].astype(np.float64)
        grids = widths.grids(column, cuts, exact.astype(np.int64), self.finest[feature], self.rounding)
        moved = [np.flatnonzero(levels != exact) for _, levels in grids]
        others = [levels[at] for (_, levels), at in zip(grids, moved, strict=True)]
        sensitivity = self._sensitivity(feature, part[np.concatenate(moved)], np.concatenate(others))
        risk, found = 0.0, []
        for (grid, _), at in zip(grids, moved, strict=True):
            risk = max(len(at) * sensitivity, risk / 2)
            found.append(widths.Choice(grid, risk, widths.cost(grid, cuts, self._comparisons)))
        return (*found[:-1], widths.Choice(found[-1].grid, 0.0, found[-1].cost))

    def _sensitivity(self, feature: int, samples: npt.NDArray[np.intp], levels: npt.NDArray[Any]) -> float:
        """The rate at which ``levels`` of a feature, instead of those of ``samples``, change the prediction; never quite 0."""
        probes = np.unique(np.linspace(0, len(samples) - 1, PROBES).astype(int)) if len(samples) else samples
        changed = self._exact[samples[probes]]
        changed[:, feature] = levels[probes]
        flips = (self._emulator.run(changed)[1] != self._answers[samples[probes]]).sum()
        return float(flips + 0.5) / (len(probes) + 1)


def _of_levels(network: ir.Network) -> tuple[ir.Network, tuple[ir.Ints, ...]]:
    """The network that takes levels as codes, and the cuts of each feature: its thresholds, rising, that are not constant."""
    thermometer, formats = network.nodes[0], network.input.edge.flat_formats()
    assert isinstance(thermometer, ir.Thermometer)
    cuts = tuple(
        tuple(sorted({t for t in row if fmt.low < t <= fmt.high}))
        for row, fmt in zip(thermometer.thresholds, formats, strict=True)
    )
    rows = tuple(
        tuple(bisect.bisect_left(known, t) + 1 if t > fmt.low else 0 for t in row)
        for row, known, fmt in zip(thermometer.thresholds, cuts, formats, strict=True)
    )
    # One code more than there are levels: a threshold that is never reached has to lie above.
    ports = tuple(ir.Format.covering(0, len(known)) for known in cuts)
    return ir.Network(ir.Input(network.input.shape, ports), (ir.Thermometer(rows), *network.nodes[1:])), cuts
