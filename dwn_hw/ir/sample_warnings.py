"""Says when samples do not fit a network: other units than its thresholds and its port, other labels than its classes.

A network answers whatever comes in. Samples in other units (0…1 where it was trained on 0…255) saturate, or cross no threshold,
and give classes all the same. What is measured here is how much of the network they reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import DataError, Problem
from dwn_hw.ir.arrays import Floats
from dwn_hw.ir.codes import Encoded, are_codes, decode
from dwn_hw.ir.network import BY_THRESHOLDS, CALIBRATED
from dwn_hw.ir.sample_files import Samples, resolved, to_codes

#: The fewest samples of which a share is said, and the most that are looked at, evenly spread.
LEAST, _MOST = 16, 10_000

#: Of the thresholds of features that vary at all, fewer than this share crossed is suspicious.
_CROSSED = 0.5

#: More than this share of values beyond the ends of the port is suspicious.
_SATURATED = 0.1

#: The widest and the narrowest that samples are in comparison with the thresholds, or the port, before it is suspicious.
_WIDER, _NARROWER = 30.0, 1 / 16


def encoded(network: ir.Network, samples: Samples, strict: bool = False) -> tuple[Encoded, list[str]]:
    """The codes of samples for a network, and why they are likely not in its units. Raises DataError; of those if ``strict``."""
    found = to_codes(samples, network)
    warnings = of_samples(network, samples, found)
    if strict:
        refuse(warnings, samples.name)
    return found, warnings


@dataclass(frozen=True, slots=True)
class Given:
    """Samples, or none, as a network takes them: with features and classes, and ``encoded``; what is to be noted of them, and why
    they likely do not fit.
    """

    samples: Samples | None = None
    encoded: Encoded | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def codes(self) -> npt.NDArray[np.int64] | None:
        """The codes, or None."""
        return None if self.encoded is None else self.encoded.codes.astype(np.int64)


def given(network: ir.Network, samples: Samples | None, strict: bool) -> Given:
    """What a user gave, as a network takes it. Raises DataError; if ``strict``, also of what likely does not fit."""
    if samples is None:
        return Given()
    found, told = resolved(samples, network.table)
    codes, warnings = encoded(network, found)
    warnings += told.warnings()
    if strict:
        refuse(warnings, samples.name)
    return Given(found, codes, told.notes(), warnings)


def refuse(warnings: list[str], name: str) -> None:
    """Raise DataError of warnings, if there are any."""
    if warnings:
        remedy = "Give x in the units that the model was trained on, or leave --strict out."
        raise DataError(
            *(Problem(name, "samples that fit the network, for --strict", text, remedy) for text in warnings)
        )


def moved(network: ir.Network, encoded: Encoded) -> dict[str, int | str]:
    """How many values were rounded to the port's grid and saturated at its ends, as reports say it; and whether by choice."""
    found: dict[str, int | str] = {"rounded": encoded.rounded, "saturated": encoded.saturated}
    if encoded.saturated and saturation_chosen(network):
        found["saturation"] = "chosen by calibration"
    return found


def saturation_chosen(network: ir.Network) -> bool:
    """Whether a calibration made the port so narrow on purpose that values beyond its ends say nothing."""
    return dict(network.notes).get("input", "").startswith(CALIBRATED)


def of_samples(network: ir.Network, samples: Samples, encoded: Encoded) -> list[str]:
    """Why samples are likely not in the units that a network expects, each reason in words with both ranges."""
    if len(samples) < LEAST or samples.x is None or are_codes(network.input, samples.x):
        return []
    looked_at = np.unique(np.linspace(0, len(samples) - 1, _MOST).astype(np.int64))
    x = samples.x[looked_at].reshape(len(looked_at), -1).astype(np.float64)
    saturated = encoded.saturated / samples.x.size
    node = network.encoder
    if node is None:
        return _of_port(network, x, saturated)
    own = _of_thresholds(node, network, x, encoded.codes[looked_at].reshape(len(x), -1))
    narrow = dict(network.notes).get("input", "").startswith((CALIBRATED, BY_THRESHOLDS))
    return own if own or narrow else _beyond(network, x, saturated)


def _of_thresholds(
    node: ir.Thermometer, network: ir.Network, x: npt.NDArray[Any], codes: npt.NDArray[np.int64]
) -> list[str]:
    """Of features that vary: how many of their thresholds any sample crosses, and how wide samples are beside them."""
    varying = np.flatnonzero(x.min(axis=0) != x.max(axis=0))
    pairs = [(feature, threshold) for feature in varying for threshold in set(node.thresholds[feature])]
    if not pairs:
        return []
    low, high = codes.min(axis=0), codes.max(axis=0)
    crossed = sum(int(low[feature]) < threshold <= int(high[feature]) for feature, threshold in pairs)
    real = _thresholds(node, network)
    between = f"x spans {_span(x)}, thresholds {_span(real)}"
    if crossed < _CROSSED * len(pairs):
        which = f"{crossed} of {len(pairs)} are" if crossed else "none is"
        return [f"{between}: {which} crossed by any sample"]
    spread, apart = _spread(x), float(real.max() - real.min())
    if apart > 0 and not _NARROWER <= spread / apart <= _WIDER:
        return [f"{between}: samples are {_times(spread / apart)} than the thresholds"]
    return []


def _of_port(network: ir.Network, x: npt.NDArray[Any], saturated: float) -> list[str]:
    """How many values lie beyond a port that no thermometer reads, and how wide samples are beside it."""
    ends = _ends(network)
    apart, spread = float(ends.max() - ends.min()), float(x.max() - x.min())
    if 0 < spread < _NARROWER * apart:
        return [f"x spans {_span(x)}, the port {_span(ends)}: samples are {_times(spread / apart)} than the port"]
    return _beyond(network, x, saturated)


def _beyond(network: ir.Network, x: npt.NDArray[Any], share: float) -> list[str]:
    between = f"x spans {_span(x)}, the port {_span(_ends(network))}"
    return [f"{between}: {_percent(share)} of the values lie beyond its ends"] if share > _SATURATED else []


def _ends(network: ir.Network) -> Floats:
    """The least and the greatest number that each feature's port carries, (2, features)."""
    ends = np.array([[fmt.low, fmt.high] for fmt in network.input.edge.flat_formats()], np.int64).T
    return decode(network.input, ends, np.dtype(np.float64))


def _thresholds(node: ir.Thermometer, network: ir.Network) -> Floats:
    """All thresholds in the user's own units, as one row for each rank; those of shorter rows repeat."""
    most = max(map(len, node.thresholds))
    rows = [list(row) + [row[-1] if row else 0] * (most - len(row)) for row in node.thresholds]
    limits = [(fmt.low, fmt.high) for fmt in network.input.edge.flat_formats()]
    codes = np.array([[min(max(t, low), high) for t in row] for row, (low, high) in zip(rows, limits, strict=True)])
    used = np.array([bool(row) for row in node.thresholds])
    return decode(network.input, codes.T, np.dtype(np.float64))[:, used]


def _spread(x: npt.NDArray[Any]) -> float:
    """How far samples lie apart, without the outermost twentieth on each side, which may be outliers."""
    low, high = np.quantile(x, (0.05, 0.95))
    return float(high - low) or float(x.max() - x.min())


def of_classes(
    network: ir.Network, y: npt.NDArray[Any], predicted: npt.NDArray[Any], permutation_assumed: bool = False
) -> list[str]:
    """Whether an accuracy is no better than chance, and what that says: labels (samples,) beside predictions."""
    return near_chance(network, float(np.mean(y == predicted)), len(y), permutation_assumed)


def near_chance(network: ir.Network, right: float, count: int, permutation_assumed: bool = False) -> list[str]:
    """The same of a share of ``count`` samples."""
    classes = network.classes
    if classes < 2 or count < LEAST:
        return []
    chance = 1 / classes
    if right > chance + 3 * math.sqrt(chance * (1 - chance) / count):
        return []
    cause = (
        "the permutation in front of the group sum is likely missing (randperm, which torch_dwn saves in no state_dict)"
        if permutation_assumed
        else "the samples' units or the order of the classes are likely other than the model's"
    )
    return [f"accuracy {right:.3f} is near chance ({chance:.3f} for {classes} classes): {cause}"]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def _span(values: npt.NDArray[Any]) -> str:
    return f"{float(values.min()):.6g}…{float(values.max()):.6g}"


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times wider" if ratio > 1 else f"{1 / ratio:.0f} times narrower"
