"""Finds the narrowest port that keeps a model's predictions, on samples of its user.

The samples are split. From the *calibration* part come two sequences of ports, from wide to narrow: one width for all
features, and a width for each (:mod:`dwn_hw.frontend.calibration.widths`). How far to go along them is decided on both
parts. What is to be kept is either

* every prediction: of each sequence the narrowest port behind which no prediction of either part changes. That is a fact
  about these samples; what it says of others is bounded for the best of as many ports as were compared; or
* accuracy within ``max_drop``: a claim about other samples, so the confidence limit of the drop on the *validation* part must lie
  within it. Each sequence is followed from its wide end to the first port that fails there: then looking at many ports needs no
  correction (fixed-sequence testing; for this use see Angelopoulos et al., Learn then Test, 2021, section 3).

Of the two ports that are left, the one of fewer LUTs is taken. Predictions are compared with those of the model on the real
numbers, in its own arithmetic. Every figure is of the validation part, and of the frozen network itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw.errors import DataError, InputError, Mismatch, Problem
from dwn_hw.frontend import freeze_dwn, input_port
from dwn_hw.frontend.calibration import statistics, widths
from dwn_hw.frontend.calibration.port_trials import Predictions, Trial
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.ir import codes
from dwn_hw.ir.emulate import Emulator
from dwn_hw.ir.network import CALIBRATED, is_dyadic
from dwn_hw.ir.sample_files import Samples, class_indices

Grids = tuple[widths.Grid, ...]

#: A function that gives the LUTs which a network takes, by part; handed in by whoever knows the hardware.
Estimate: TypeAlias = Callable[[ir.Network], dict[str, int]]

#: The share of changed predictions that the validation samples must be enough to show, where every prediction is to be kept.
SHOWN = 0.03

#: The widest port of the curve. It has each width up to that; fewer, but at least so many, where lowering takes long: the
#: time for an encoder grows about with the squares of its features' numbers of thresholds.
CURVE, LEAST_CURVE, CURVE_WORK = input_port.DEFAULT_BITS, 4, 60_000

_SURE = f"{statistics.CONFIDENCE:.0%}"

#: The number of samples that are encoded at once.
_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class Evidence:
    """The classes (samples,) that the model gives, the true ones ``y`` where known, the indices of the two parts, and what is
    asked: the greatest drop in accuracy, or None to keep every prediction.
    """

    wanted: Predictions
    y: npt.NDArray[Any] | None
    calibration: statistics.Indices
    validation: statistics.Indices
    max_drop: float | None

    @property
    def asked(self) -> str:
        """What is to be kept, in words."""
        return "every prediction" if self.max_drop is None else f"accuracy within {self.max_drop:g}"

    def changed(self, got: Predictions, part: statistics.Indices) -> int:
        """The number of predictions of a part that are not the model's."""
        return int((got[part] != self.wanted[part]).sum())

    def paired(self, got: Predictions, part: statistics.Indices) -> tuple[int, int]:
        """The numbers of predictions of a part that are right no more, and that are right now and were not."""
        assert self.y is not None
        before, after = self.wanted[part] == self.y[part], got[part] == self.y[part]
        return int((before & ~after).sum()), int((after & ~before).sum())

    def calibrated(self, got: Predictions) -> bool:
        """Whether the calibration part keeps what is to be kept."""
        if self.max_drop is None:
            return self.changed(got, self.calibration) == 0
        lost, gained = self.paired(got, self.calibration)
        return lost - gained <= self.max_drop * len(self.calibration)

    def validated(self, got: Predictions) -> bool:
        """Whether the validation part keeps it; with ``max_drop``, whether it shows so with confidence."""
        if self.max_drop is None:
            return self.changed(got, self.validation) == 0
        return statistics.most_dropped(*self.paired(got, self.validation), len(self.validation)) <= self.max_drop

    def narrowest(self, sequence: Sequence[Predictions]) -> int | None:
        """The index of the port taken from a sequence from wide to narrow, or None where none is good."""
        held = [index for index, got in enumerate(sequence) if self.calibrated(got)]
        if self.max_drop is None:
            passed = [index for index in held if self.validated(sequence[index])]
        else:
            passed = list(itertools.takewhile(lambda index: self.validated(sequence[index]), held))
        return passed[-1] if passed else None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of samples that is right, from 0 to 1, and its standard error."""

    part: float
    error: float

    def __str__(self) -> str:
        return f"{100 * self.part:.1f} ± {100 * self.error:.1f} %"


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of the validation part: how many predictions change, and the share that agrees; where classes are known, the
    accuracy and the most that it dropped, with confidence.
    """

    changed: int
    agreement: float
    accuracy: Accuracy | None = None
    most_dropped: float | None = None

    def report(self) -> Document:
        """The rates as plain values, without those that are not known."""
        found: Document = {"changed": self.changed, "agreement": self.agreement}
        if self.accuracy is not None:
            found |= {"accuracy": self.accuracy.part, "standard_error": self.accuracy.error}
            found["most_dropped"] = self.most_dropped
        return found


@dataclass(frozen=True, slots=True)
class Measured:
    """A port that was tried: its bits, what it costs in LUTs, and what it keeps."""

    least_bits: int
    most_bits: int
    port_bits: int
    encoder_lut: int
    lut: int
    holds: bool
    rates: Rates

    @property
    def widths(self) -> str:
        """The widths in words: ``8 bits a feature``, or ``3 to 9 bits a feature, 93 in all``."""
        least, most = self.least_bits, self.most_bits
        return (
            f"{most} bits a feature" if least == most else f"{least} to {most} bits a feature, {self.port_bits} in all"
        )

    def report(self) -> Document:
        """The figures of the port as plain values."""
        names = ("least_bits", "most_bits", "port_bits", "encoder_lut", "lut", "holds")
        return {name: getattr(self, name) for name in names} | self.rates.report()


def calibrate(
    model: TrainedDwn,
    samples: Samples,
    max_drop: float | None,
    *,
    seed: int,
    estimate: Estimate,
    comparisons: widths.ComparisonCost,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[input_port.Port, Document]:
    """Search for the port. Returns it, and what was found, as plain values.

    ``estimate`` and ``comparisons`` say what hardware costs. ``samples`` have no :func:`data_problems`. Raises DataError where
    the model tells none of them apart.
    """
    assert samples.x is not None
    progress("calibrating: the model's own predictions")
    parts = statistics.split(len(samples), samples.y, seed)
    trials = _trials(model, samples.x.reshape(len(samples), -1), comparisons, parts[0])
    evidence = Evidence(trials[0].wanted(), samples.y, *parts, max_drop)
    _check_predictions(evidence, samples.name)
    searches = [_search(trials[0], evidence, progress)]
    # The other rounding is another try, which what is said of the best of so many ports allows for, and a limit does not.
    if not searches[0].taken and max_drop is None:
        searches += [_search(trial, evidence, progress) for trial in trials[1:]]
    search = next((search for search in searches if search.taken), searches[0])
    choices, trial = search.choices, search.trial

    def measured(grids: Grids) -> Measured:
        return _measured(trial, evidence, grids, estimate)

    curve = []
    for bits in _curve_widths(min(max(map(len, choices)), CURVE), trial.cuts):
        progress(f"calibrating: LUTs of features of u{bits}")
        curve.append(measured(widths.shared(choices, bits)))
    rows = {kind: measured(grids) for kind, grids in search.taken.items()}
    # Where nothing is good enough the widest port is the best there is, and that is said.
    best = min(rows, key=lambda kind: (rows[kind].lut, rows[kind].port_bits)) if rows else None
    grids = search.widest if best is None else search.taken[best]
    row, model_rates = measured(grids) if best is None else rows[best], rates(evidence, evidence.wanted)
    compared = sum(search.compared for search in searches)
    report: Document = {
        "asked": evidence.asked,
        "max_drop": max_drop,
        "met": bool(rows),
        "seed": seed,
        "calibration_samples": len(evidence.calibration),
        "validation_samples": len(evidence.validation),
        "ports_compared": compared,
        "rounding": trial.rounding,
        "model": model_rates.report(),
        "curve": [point.report() for point in curve],
        "shared": rows["shared"].report() if "shared" in rows else None,
        "per_feature": rows["per_feature"].report() if "per_feature" in rows else None,
        "taken": row.report(),
    }
    reason = _reason(evidence, compared, bool(rows), row, model_rates)
    return widths.port(grids, trial.finest, reason, trial.rounding), report


def _trials(
    model: TrainedDwn, x: npt.NDArray[Any], comparisons: widths.ComparisonCost, part: statistics.Indices
) -> list[Trial]:
    """A trial for each rounding that a host can do, first that by which the calibration ``part`` needs fewer bits."""
    nearest = Trial(model, x, comparisons)
    if not all(map(is_dyadic, nearest.finest)):
        return [nearest]
    return sorted([nearest, Trial(model, x, comparisons, "floor")], key=lambda trial: trial.bits_to_keep_levels(part))


@dataclass(frozen=True, slots=True)
class _Search:
    """What was found behind one rounding: the ``choices`` of each feature, the grids ``taken`` of each kind of port that is good
    enough, the ``widest`` port, and how many were ``compared``.
    """

    trial: Trial
    choices: list[tuple[widths.Choice, ...]]
    taken: dict[str, Grids]
    widest: Grids
    compared: int


def _search(trial: Trial, evidence: Evidence, progress: Callable[[str], None]) -> _Search:
    """Follow both sequences of ports, from wide to narrow."""
    progress("calibrating: grids of each feature")
    choices = [trial.choices(feature, evidence.calibration) for feature in range(len(trial.cuts))]
    sequences: dict[str, list[Grids]] = {
        "shared": [widths.shared(choices, bits) for bits in range(max(map(len, choices)), 0, -1)],
        "per_feature": widths.path(choices),
    }
    compared = sum(map(len, sequences.values()))
    progress(f"calibrating: predictions behind {compared} ports")
    taken: dict[str, Grids] = {}
    for kind, sequence in sequences.items():
        at = evidence.narrowest([trial.predict(grids) for grids in sequence])
        taken |= {} if at is None else {kind: sequence[at]}
    return _Search(trial, choices, taken, sequences["shared"][0], compared)


def _curve_widths(most: int, cuts: Sequence[ir.Ints]) -> list[int]:
    """The widths in bits of the curve, rising to ``most``: evenly spread, as many as there is time for."""
    work = sum(len(own) ** 2 for own in cuts)
    count = min(most, max(LEAST_CURVE, CURVE_WORK // max(work, 1)))
    return [-(-most * place // count) for place in range(1, count + 1)]


def _measured(trial: Trial, evidence: Evidence, grids: Grids, estimate: Estimate) -> Measured:
    """Measure what a port costs and keeps: frozen, encoded and emulated as an export would be. Raises Mismatch."""
    network = freeze_dwn.freeze_dwn(trial.model, widths.port(grids, trial.finest, "tried", trial.rounding))
    emulator = Emulator(network)
    parts = [trial.x[start : start + _CHUNK].astype(np.float64) for start in range(0, len(trial.x), _CHUNK)]
    got = np.concatenate([emulator.run(codes.encode(network.input, part).codes)[1] for part in parts])
    if (got != trial.predict(grids)).any():
        raise Mismatch("calibration: the frozen network does not predict what was found for its port")
    costs = estimate(network)
    bits = [grid.bits for grid in grids]
    return Measured(
        least_bits=min(bits),
        most_bits=max(bits),
        port_bits=sum(bits),
        encoder_lut=costs["encoder"],
        lut=sum(costs.values()),
        holds=evidence.calibrated(got) and evidence.validated(got),
        rates=rates(evidence, got),
    )


def rates(evidence: Evidence, got: Predictions) -> Rates:
    """The rates of the validation part."""
    count, changed = len(evidence.validation), evidence.changed(got, evidence.validation)
    agreement = round(1 - changed / count, 6)
    if evidence.y is None:
        return Rates(changed, agreement)
    lost, gained = evidence.paired(got, evidence.validation)
    accuracy = float((got == evidence.y)[evidence.validation].mean())
    error = round(statistics.standard_error(accuracy, count), 6)
    dropped = round(statistics.most_dropped(lost, gained, count), 6)
    return Rates(changed, agreement, Accuracy(round(accuracy, 6), error), dropped)


def _reason(evidence: Evidence, compared: int, met: bool, row: Measured, model: Rates) -> str:
    """The reason for the port, in a sentence for the interface. ``compared``: how many ports were compared."""
    count = len(evidence.validation)
    if not met:
        parts = [f"{CALIBRATED}, NOT MET ({evidence.asked}): {row.widths}, the finest tried"]
        parts += [f"{row.rates.changed} of {count} validation samples are predicted otherwise"]
    elif evidence.max_drop is None:
        rate = statistics.most_changed(count, compared)
        parts = [f"{CALIBRATED}: {row.widths}"]
        parts += [f"no prediction of {len(evidence.calibration)} calibration and {count} validation samples changes"]
        parts += [f"of other predictions at most {upward(rate)} do, with {_SURE} confidence"]
    else:
        assert row.rates.most_dropped is not None
        parts = [f"{CALIBRATED}: {row.widths}"]
        parts += [f"accuracy falls by at most {upward(row.rates.most_dropped)}, with {_SURE} confidence"]
    if row.rates.accuracy is not None:
        parts += [f"{row.rates.accuracy} of {count} validation samples right, {model.accuracy} by the model"]
    return "; ".join(parts)


def upward(rate: float) -> str:
    """The text of a limit in per cent, never rounded down."""
    return f"{math.ceil(max(rate, 0) * 10_000) / 10_000:.2%}"


def data_problems(model: TrainedDwn, samples: Samples, max_drop: float | None) -> list[Problem]:
    """Everything that forbids a calibration of ``model`` on ``samples``; how many it takes only for a drop that can be."""
    name, classes, y = samples.name, model.group.k, samples.y
    problems = []
    if samples.x is None:
        remedy = "Give x, samples in your own units."
        problems.append(Problem(name, "numbers to calibrate a port by", "codes, which a port carries already", remedy))
    else:
        try:
            codes.check_features(ir.Input((len(model.thresholds),), (ir.BIT,)), samples.x)
        except InputError as error:
            problems += [replace(problem, thing=name) for problem in error.problems]
    if samples.x is not None and samples.x.dtype.kind in "iu" and len(model.thresholds) == 1:
        rule, remedy = "numbers, which of one feature are not told from codes as integers", "Convert x to float."
        problems.append(Problem(name, rule, f"{samples.x.dtype}", remedy))
    if y is None and max_drop is not None:
        problems.append(Problem(name, "y, the classes, for --max-drop", "x alone", "Add y, or leave --max-drop out."))
    if y is not None:
        problems += class_indices(y, len(samples), classes, model.class_names, name)[1]
        if y.ndim == 1 and len(y) and (y == y[0]).all():
            got = f"class {y[0]} alone, {len(y)} times"
            problems.append(Problem(name, "y of at least two classes", got, "Give samples of every class."))
    if max_drop is None or 0 < max_drop < 1:
        problems += too_few(samples, max_drop)
    return problems


def too_few(samples: Samples, max_drop: float | None) -> list[Problem]:
    """The problem of a file that holds fewer samples than what is asked needs; none where there are enough."""
    given = statistics.validating(len(samples))
    least = statistics.needed(SHOWN if max_drop is None else max_drop)
    if given >= least:
        return []
    got = f"{len(samples)}, which leave {given}"
    if max_drop is None:
        rule = f"at least {statistics.whole(least)} samples, of which {least} validate: fewer would not show that"
        rule += f" {SHOWN:.0%} of all predictions change"
        return [Problem(samples.name, rule, got, "Give more samples.")]
    rule = f"at least {statistics.whole(least)} samples, of which {least} validate, to support --max-drop {max_drop:g}"
    smallest = math.ceil(statistics.finest_drop(given) * 1000) / 1000
    return [Problem(samples.name, rule, got, f"Give more samples, or ask for --max-drop {smallest:g} or more.")]


def _check_predictions(evidence: Evidence, name: str) -> None:
    classes = np.unique(evidence.wanted)
    if len(classes) == 1:
        rule, got = "samples of which the model makes more than one class", f"class {classes[0]} for all"
        remedy = "Give x in the units that the model takes: unscaled, unless --no-scaler."
        raise DataError(Problem(name, rule, got, remedy))
