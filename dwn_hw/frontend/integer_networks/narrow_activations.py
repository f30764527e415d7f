"""Finds the narrowest activations and weights that keep a network's predictions, on samples of its user.

The samples are split as for a DWN's port (:mod:`dwn_hw.frontend.calibration.port_search`). On the *calibration* part
each layer gets, for every width, the binary point with the least squared error; and how much each width of one layer's
activations or weights alone disturbs the scores gives one path for all together, from :data:`WIDEST` bits down: the next
to lose a bit is the one that then disturbs them least. Bisection finds how far along it the calibration part keeps what is to be
kept. That fixes a short sequence of candidates, from wide to that one; on the *validation* part they are tried in this
order up to the first that fails, so that looking at several needs no correction (fixed-sequence testing). Predictions
are compared with those of the model as it was given, in its own arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw.errors import DataError, Problem
from dwn_hw.frontend import input_port
from dwn_hw.frontend.calibration import port_search, statistics
from dwn_hw.frontend.calibration.port_search import Evidence
from dwn_hw.frontend.integer_networks import activation_formats, float64_reference, freeze_network, input_stage
from dwn_hw.frontend.integer_networks.activation_formats import Chosen
from dwn_hw.frontend.integer_networks.trained_network import Doubles, FixedPoint, TrainedNetwork
from dwn_hw.ir.codes import check_features, encode
from dwn_hw.ir.emulate import Emulator
from dwn_hw.ir.sample_files import Samples

#: The bits of an activation at the two ends of the search.
WIDEST, NARROWEST = 16, 2

#: The widest weights that are tried; the narrowest have as few bits as activations.
WIDEST_WEIGHTS = 8

#: The calibration samples whose scores are compared at each width of each layer; the activations that a format is fitted to.
PROBES, FITTED = 100, 50_000

#: The most powers of two by which a format's greatest value may lie below the greatest seen.
_CLIPPED = 4

#: The candidates of the sequence that is validated: so many steps of the path before the narrowest.
_STEPS_BACK = (32, 16, 12, 8, 6, 4, 2, 1, 0)

#: The bits of activations (as formats) and of weights that are rounded, by layer: what one step of the path says.
_Formats = tuple[FixedPoint, ...]
_Weights = tuple[int, ...]

#: A model with weights of so many bits, each of the layers that have none of their own.
Rounded = Callable[[_Weights], TrainedNetwork]


@dataclass(frozen=True, slots=True)
class _Widths:
    """A step of the path."""

    formats: _Formats
    weights: _Weights

    def __str__(self) -> str:
        activations = "/".join(str(wanted.format.bits) for wanted in self.formats)
        return f"{activations} bits" + (f", weights of {'/'.join(map(str, self.weights))}" if self.weights else "")


def narrow(
    rounded: Rounded,
    open_weights: int,
    samples: Samples,
    max_drop: float | None,
    stated: str | None,
    port: input_port.Port | None,
    folded: input_stage.Front | None,
    *,
    seed: int,
    progress: Callable[[str], None],
) -> tuple[Chosen, _Weights, Document]:
    """Search for the formats. Returns them, the bits of weights, and what was found, as plain values.

    ``rounded`` gives the model with weights of so many bits, one for each of ``open_weights`` layers; ``stated``: the port's
    format as the user gave it; ``port``: the port as it is; ``folded``: the front, where it is fixed.
    """
    model = rounded((WIDEST_WEIGHTS,) * open_weights)
    _check(model, samples, max_drop)
    progress("calibrating: the model's own predictions")
    real = input_stage.real_samples(model, stated, samples)
    wanted = model.original(real.astype(np.float32)).argmax(axis=1)
    evidence = Evidence(wanted, samples.y, *statistics.split(len(samples), samples.y, seed), max_drop)
    progress("calibrating: a binary point for each width of each layer")
    first = input_stage.first_values(model, folded, stated, samples)[evidence.calibration]
    steps = _path(rounded, open_weights, first, progress)
    trial = _Trial(rounded, samples, port, folded, real)
    low, high = 0, len(steps)
    while low < high:  # the first step at which the calibration part no longer holds
        middle = (low + high) // 2
        progress(f"calibrating: {steps[middle]} on {len(evidence.calibration)} samples")
        holds = _kept(evidence, trial.predict(steps[middle], evidence.calibration))
        low, high = (middle + 1, high) if holds else (low, middle)
    rows: list[_Row] = []
    taken = None
    for at in sorted({max(0, low - 1 - back) for back in _STEPS_BACK}) if low else ():
        progress(f"validating: {steps[at]} on {len(evidence.validation)} samples")
        got = trial.predict(steps[at], evidence.validation)
        rows.append(_row(steps[at], evidence, got, evidence.validated(got)))
        if not rows[-1].holds:
            break
        taken = at
    met, chosen = taken is not None, steps[taken or 0]
    report = _report(evidence, seed, rows, met)
    return Chosen(chosen.formats, "calibrated", _reason(evidence, rows, met, chosen)), chosen.weights, report


def _kept(evidence: Evidence, got: npt.NDArray[np.int64]) -> bool:
    """Whether the calibration part would pass as the validation part has to: that leaves candidates which do."""
    part = evidence.calibration
    if evidence.max_drop is None:
        return evidence.changed(got, part) == 0
    return statistics.most_dropped(*evidence.paired(got, part), len(part)) <= evidence.max_drop


def _path(rounded: Rounded, open_weights: int, x: Doubles, progress: Callable[[str], None]) -> list[_Widths]:
    """The path of widths for all layers, from wide to narrow, one bit of one layer's activations or weights a step."""
    probes = x[:: max(1, len(x) // PROBES)][:PROBES]
    model = rounded((WIDEST_WEIGHTS,) * open_weights)
    choices = _choices(model, probes)
    least = [min(row) for row in choices] + [NARROWEST] * open_weights
    widths = [max(row) for row in choices] + [WIDEST_WEIGHTS] * open_weights

    def step(bits: Sequence[int]) -> _Widths:
        formats = tuple(row[width] for row, width in zip(choices, bits, strict=False))
        return _Widths(formats, tuple(bits[len(choices) :]))

    def scores(bits: Sequence[int]) -> Doubles:
        made = step(bits)
        return float64_reference.run(rounded(made.weights), made.formats, probes)[0]

    base = scores(widths)
    disturbed: list[dict[int, float]] = []
    for at, (widest, narrowest) in enumerate(zip(widths, least, strict=True)):
        what = f"{model.layers[at].name}" if at < len(choices) else f"weights {at - len(choices) + 1}"
        progress(f"calibrating: what each width of {what} does to the scores")
        disturbed.append({widest: 0.0})
        for bits in range(widest - 1, narrowest - 1, -1):
            changed = scores([*widths[:at], bits, *widths[at + 1 :]])
            disturbed[-1][bits] = max(float(((changed - base) ** 2).mean()), disturbed[-1][bits + 1])
    steps = [step(widths)]
    while open_ := [at for at, width in enumerate(widths) if width > least[at]]:
        widths[min(open_, key=lambda at: (disturbed[at][widths[at] - 1], -widths[at], at))] -= 1
        steps.append(step(widths))
    return steps


def _choices(model: TrainedNetwork, x: Doubles) -> list[dict[int, FixedPoint]]:
    """The plain format of each width for each layer, with the least squared error on the values that come to it; of a layer
    behind levels or the port's own codes these alone.
    """
    seen: list[list[Doubles]] = [[] for _ in model.layers]

    def watch(layer: int, values: Doubles) -> None:
        seen[layer].append(values.reshape(-1).copy())

    float64_reference.run(model, (float64_reference.WIDE,) * len(model.layers), x, watch)
    tables = activation_formats.behind_tables(model)
    return [
        {layer.own.format.bits: layer.own}
        if layer.discrete and layer.own
        else _fitted(np.concatenate(values), WIDEST if table is None else activation_formats.MOST_TABLE_BITS)
        for layer, values, table in zip(model.layers, seen, tables, strict=True)
    ]


def _fitted(values: Doubles, widest: int) -> dict[int, FixedPoint]:
    least, most = float(values.min()), float(values.max())
    top, signed = int(np.frexp(max(most, -least))[1]), least < 0
    some = values[:: max(1, len(values) // FITTED)]
    found = {}
    for bits in range(widest, NARROWEST - 1, -1):
        tried = [activation_formats.fixed(bits, signed, top - clipped + signed - bits) for clipped in range(_CLIPPED)]
        found[bits] = min(tried, key=lambda wanted: _error(wanted, some))
    return found


def _error(wanted: FixedPoint, values: Doubles) -> float:
    kept = np.clip(wanted.round(values), wanted.lowest, wanted.highest) * 2.0**wanted.lsb
    return float(((kept - values) ** 2).mean())


class _Trial:
    """The model frozen with one choice of formats after another, and emulated on samples."""

    def __init__(
        self,
        rounded: Rounded,
        samples: Samples,
        port: input_port.Port | None,
        folded: input_stage.Front | None,
        real: Doubles,
    ) -> None:
        self.rounded, self.port, self.folded = rounded, port, folded
        assert samples.x is not None
        self.x = samples.x.reshape(len(samples), -1)
        # A port that carries activations takes them normalised.
        self.real = real.reshape(len(real), -1)

    def predict(self, chosen: _Widths, part: statistics.Indices) -> npt.NDArray[np.int64]:
        """The classes (samples,) of a part of the samples; −1 for the others."""
        model = self.rounded(chosen.weights)
        entry = self.folded or input_stage.choose(model, chosen.formats[0], self.port)
        network = freeze_network.freeze(model, entry, chosen.formats)
        numbers = self.real if entry.origin == "activations" else self.x
        codes = encode(network.input, numbers[part]).codes.reshape(-1, *network.input.shape)
        got = np.full(len(self.x), -1)
        got[part] = Emulator(network).run(codes)[1]
        return got


@dataclass(frozen=True, slots=True)
class _Row:
    """Formats that were tried: their bits, whether they keep what is to be kept, and the rates of the validation part."""

    bits: tuple[int, ...]
    weights: tuple[int, ...]
    holds: bool
    rates: port_search.Rates

    def report(self) -> Document:
        """The row as plain values."""
        return {"bits": list(self.bits), "weights": list(self.weights), "holds": self.holds, **self.rates.report()}


def _row(chosen: _Widths, evidence: Evidence, got: npt.NDArray[np.int64], holds: bool) -> _Row:
    bits = tuple(wanted.format.bits for wanted in chosen.formats)
    return _Row(bits, chosen.weights, holds, port_search.rates(evidence, got))


def _report(evidence: Evidence, seed: int, rows: list[_Row], met: bool) -> Document:
    passed = [row for row in rows if row.holds]
    return {
        "asked": evidence.asked,
        "max_drop": evidence.max_drop,
        "met": met,
        "seed": seed,
        "calibration_samples": len(evidence.calibration),
        "validation_samples": len(evidence.validation),
        "model": port_search.rates(evidence, evidence.wanted).report(),
        "curve": [row.report() for row in rows],
        "taken": passed[-1].report() if passed else None,
    }


def _reason(evidence: Evidence, rows: list[_Row], met: bool, chosen: _Widths) -> str:
    if not met:
        return f"calibrated, NOT MET ({evidence.asked}): {chosen}, the widest tried"
    rates, count = [row for row in rows if row.holds][-1].rates, len(evidence.validation)
    parts = [f"calibrated: {chosen}", f"{rates.changed} of {count} validation predictions change"]
    if rates.accuracy is not None:
        model = port_search.rates(evidence, evidence.wanted).accuracy
        parts.append(f"{rates.accuracy} of them right, {model} by the model")
    if evidence.max_drop is not None and rates.most_dropped is not None:
        drop = port_search.upward(rates.most_dropped)
        parts.append(f"accuracy falls by at most {drop}, with {statistics.CONFIDENCE:.0%} confidence")
    return "; ".join(parts)


def _check(model: TrainedNetwork, samples: Samples, max_drop: float | None) -> None:
    """Raise DataError with everything that forbids a search on these samples."""
    problems: list[Problem] = []
    if not model.classifies:
        got, remedy = "numbers alone", "Leave --calibrate out: --data places formats by the range of what is seen."
        problems.append(Problem("--calibrate", "a network that gives classes, whose predictions are kept", got, remedy))
    if samples.x is None:
        remedy = "Give x, samples in your own units."
        problems.append(Problem(samples.name, "numbers to calibrate by", "codes, which say nothing yet", remedy))
    if samples.y is None and max_drop is not None:
        remedy = "Add y, or leave --max-drop out."
        problems.append(Problem(samples.name, "y, the classes, for --max-drop", "x alone", remedy))
    problems += port_search.too_few(samples, max_drop)
    if problems:
        raise DataError(*problems)
    assert samples.x is not None
    features = int(np.prod(model.shape))
    check_features(ir.Input((features,), (ir.BIT,)), samples.x)
