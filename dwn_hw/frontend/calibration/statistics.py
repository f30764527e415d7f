"""The statistics of a search: how samples are split, how many a claim needs, and what was seen says of other samples.

The samples are paired: model and hardware answer the same ones. ``lost`` is how many the model has right and the hardware
wrong, ``gained`` the other way round; the drop in accuracy is (lost − gained) / n.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]

#: The confidence of a claim about other samples. Two searches make one each, so each is wrong with half of the rest.
CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)

#: The most samples of a file that a search looks at; all others validate.
MOST_SEARCHED = 10_000


def split(count: int, y: npt.NDArray[Any] | None, seed: int) -> tuple[Indices, Indices]:
    """The indices of the calibration and of the validation samples: halves, classes evenly in both where they are known."""
    order = np.random.default_rng(seed).permutation(count)
    if y is not None:
        order = order[np.argsort(y[order], kind="stable")]
    first = np.zeros(count, bool)
    first[order[:: _stride(count)]] = True
    return np.flatnonzero(first), np.flatnonzero(~first)


def _stride(count: int) -> int:
    return max(2, -(-count // MOST_SEARCHED))


def validating(count: int) -> int:
    """The number of samples that :func:`split` leaves to validate, of ``count``."""
    return count - -(-count // _stride(count))


def whole(validation: int) -> int:
    """The number of samples in a file that leaves ``validation`` of them to validate."""
    return validation + min(validation, MOST_SEARCHED)


def needed(drop: float) -> int:
    """The number of validation samples for the claim that accuracy falls by at most ``drop``, if no prediction at all changes."""
    return math.ceil(_Z**2 * (1 - drop) / drop)


def finest_drop(count: int) -> float:
    """The smallest drop in accuracy that ``count`` validation samples can support."""
    return _Z**2 / (count + _Z**2)


def most_dropped(lost: int, gained: int, count: int) -> float:
    """The upper confidence limit of the drop in accuracy: Tango's score interval for paired proportions.

    T. Tango, Statistics in Medicine 17 (1998) 891-908. It is where the score statistic falls to ``-z``; unlike the normal
    approximation it is right for few changes, and with none it is :func:`finest_drop`.
    """
    low, high = (lost - gained) / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(lost, gained, count, middle) > -_Z else (low, middle)
    return high


def score(lost: int, gained: int, count: int, drop: float) -> float:
    """The standard deviations by which the drop that was seen exceeds ``drop``, were that the true one; -1 < ``drop`` < 1."""
    a = 2 * count
    b = (2 * count - lost + gained) * drop - lost - gained
    c = -gained * drop * (1 - drop)
    q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)  # the likeliest rate of gains under that drop
    return (lost - gained - count * drop) / math.sqrt(count * (2 * q + drop * (1 - drop)))


def most_changed(count: int, candidates: int) -> float:
    """The upper confidence limit of the rate of changed predictions, if none of ``count`` changed behind the best of
    ``candidates`` ports.
    """
    return float(1 - ((1 - CONFIDENCE) / candidates) ** (1 / count))


def standard_error(rate: float, count: int) -> float:
    """The standard error of a rate that was found on ``count`` samples."""
    return math.sqrt(rate * (1 - rate) / count)
