"""Converts real numbers to the integer codes that stand for them at the port, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import DataError, Problem
from dwn_hw.ir.arrays import Floats

#: How many values are encoded at once.
_VALUES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded samples: ``codes`` (samples, features) in the narrowest dtype that holds all of a port's, and how many values were
    ``rounded`` to the grid or ``saturated``.
    """

    codes: npt.NDArray[Any]
    rounded: int
    saturated: int


def encode(port: ir.Input, x: npt.NDArray[Any]) -> Encoded:
    """Encode samples ``x`` (samples, features…) in the user's own units, by the port's rounding, saturating at the ends.

    Integers are numbers where the step is 1 or features have their own, unless they :func:`are_codes` already.
    Beside the codes it takes memory for a few samples at a time only. Raises DataError for a wrong feature count, or values
    that are not numbers.
    """
    x = check_features(port, x)
    edge = port.edge
    if are_codes(port, x):
        return Encoded(x, 0, 0)
    steps, offsets = by_feature(port.steps, x.shape[1]), by_feature(port.offsets, x.shape[1])
    if x.dtype.kind in "iu" and not _takes_integers(port):
        rule = f"real values, or codes of the port's own type ({', '.join(sorted(map(repr, set(edge.formats))))})"
        raise DataError(Problem("x", rule, f"{x.dtype}", "Convert x to float, or name the array 'codes'."))
    formats = edge.flat_formats()
    if x.dtype.kind in "iub" and port.steps == ("1",) and set(port.offsets) == {"0"}:
        return _whole(x, formats)
    low, high = np.array([fmt.low for fmt in formats], np.float64), np.array([fmt.high for fmt in formats], np.float64)
    rates, zeros = np.array([float(1 / s) for s in steps]), np.array([float(o) for o in offsets])
    codes = np.empty(x.shape, narrowest(formats))
    moved = saturated = 0
    at_once = max(1, _VALUES_AT_ONCE // x.shape[1])
    for start in range(0, len(x), at_once):
        real = x[start : start + at_once].astype(np.float64)
        with np.errstate(over="ignore"):  # to infinity, which saturates as any great value does
            rounded = to_grid(real, rates, zeros, port.rounding)
            part = np.clip(rounded, low, high)
            exact = decode(port, rounded, np.dtype(np.float64))
            moved += int(((exact != real) & (exact.astype(np.float32) != real)).sum())
        saturated += int((part != rounded).sum())
        codes[start : start + at_once] = part
    return Encoded(codes, moved, saturated)


def _whole(x: npt.NDArray[Any], formats: Sequence[ir.Format]) -> Encoded:
    """Integers where a code stands for itself: those beyond the ends saturate."""
    kind, given = narrowest(formats), np.dtype(np.uint8) if x.dtype.kind == "b" else x.dtype
    ends = np.iinfo(given)
    if all(fmt.low <= ends.min and ends.max <= fmt.high for fmt in formats):
        return Encoded(x.astype(kind, copy=False), 0, 0)
    low, high = (
        np.array([min(max(limit, ends.min), ends.max) for limit in limits], given)
        for limits in ([fmt.low for fmt in formats], [fmt.high for fmt in formats])
    )
    codes = np.clip(x.astype(given, copy=False), low, high)
    return Encoded(codes.astype(kind), 0, int((codes != x).sum()))


def narrowest(formats: Iterable[ir.Format]) -> np.dtype[Any]:
    """The narrowest dtype of integers that holds the codes of all formats."""
    ends = [np.min_scalar_type(end) for fmt in formats for end in (fmt.low, fmt.high)]
    kind = np.result_type(*ends)
    return kind if kind.kind in "iu" else np.dtype(np.int64)  # numpy joins int8 and uint64 to float64


def to_grid(real: Floats, rate: Floats | float, offset: Floats | float, rounding: str) -> Floats:
    """The code that each number becomes by ``rounding``, before it saturates; ``rate`` is one over the step."""
    return _ROUND[rounding]((real - offset) * rate)


_ROUND: dict[str, Callable[[Floats], Floats]] = {
    "floor": lambda at: np.asarray(np.floor(at)),
    "half_up": lambda at: np.asarray(np.floor(at + 0.5)),
    "half_even": lambda at: np.asarray(np.rint(at)),
}


def are_codes(port: ir.Input, x: npt.NDArray[Any]) -> bool:
    """Whether ``x`` holds codes, not numbers: integers whose dtype is exactly the port's format (``uint8`` for ``u8``).

    At a port whose features have their own grids, integers are numbers: no dtype says that.
    """
    if x.dtype.kind not in "iu" or len(port.steps) > 1 or port.steps == ("1",):
        return False
    return {_dtype(fmt) for fmt in port.edge.formats} == {x.dtype}


def _takes_integers(port: ir.Input) -> bool:
    """Whether the port takes integers as numbers. With one step for all that is not 1 they might be codes, and are refused."""
    return len(port.steps) > 1 or port.steps == ("1",)


def check_features(port: ir.Input, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``x`` as (samples, features), or a DataError that says what is wrong with it."""
    features = port.edge.size
    if x.ndim < 2 or math.prod(x.shape[1:]) != features:
        rule = f"samples of {features} features: shape (samples, {features})"
        raise DataError(Problem("x", rule, f"shape {x.shape}", "Give the features that the model was trained on."))
    if x.dtype.kind not in "iufb":
        raise DataError(Problem("x", "numbers", f"dtype {x.dtype}", "Save x as floats or integers."))
    flat = x.reshape(len(x), features)
    bad = np.argwhere(~np.isfinite(flat)) if flat.dtype.kind == "f" else np.empty((0, 2))
    if len(bad):
        sample, feature = (int(i) for i in bad[0])
        got = f"{flat[sample, feature]} in sample {sample}, feature {feature} ({len(bad)} in all)"
        raise DataError(Problem("x", "finite numbers", got, "Remove or fill those values."))
    return flat


def decode(port: ir.Input, codes: npt.NDArray[Any], dtype: np.dtype[Any]) -> Floats:
    """Decode codes to real numbers (samples, features): the float64 nearest to the exact rational, as ``dtype``."""
    steps, offsets = by_feature(port.steps, codes.shape[1]), by_feature(port.offsets, codes.shape[1])
    with np.errstate(over="ignore"):  # a number too great for the dtype is infinite there
        if len(set(steps)) == len(set(offsets)) == 1:
            return decode_column(codes.reshape(-1), steps[0], offsets[0]).reshape(codes.shape).astype(dtype)
        columns = [decode_column(codes[:, f], steps[f], offsets[f]) for f in range(codes.shape[1])]
        return np.stack(columns, axis=1).astype(dtype)


def decode_column(codes: npt.NDArray[Any], step: Fraction, offset: Fraction) -> npt.NDArray[np.float64]:
    """The float64 nearest to ``code · step + offset``: one rounding, in the division by the common denominator."""
    denominator = math.lcm(step.denominator, offset.denominator)
    scale, shift = int(step * denominator), int(offset * denominator)
    values = np.asarray(codes, np.float64)
    found = np.asarray((values * float(scale) + float(shift)) / float(denominator), np.float64)
    largest = max(denominator, abs(scale), abs(shift), 1)
    # Where float64 does not hold the numerator or the denominator, Python divides integers, and rounds once.
    inexact = (largest > _EXACT) | (np.abs(values) * abs(scale) + abs(shift) > _EXACT)
    for i in np.flatnonzero(inexact & np.isfinite(found)):
        found[i] = (int(values[i]) * scale + shift) / denominator
    return found


#: The greatest integer up to which float64 holds all integers exactly.
_EXACT = 1 << 53


def by_feature(texts: Iterable[str], features: int) -> tuple[Fraction, ...]:
    """The value of each feature, from ``texts`` that all features share, or those of each row of the first axis."""
    values = tuple(Fraction(text) for text in texts)
    return tuple(value for value in values for _ in range(features // len(values)))


def _dtype(fmt: ir.Format) -> np.dtype[Any] | None:
    return np.dtype(f"{'i' if fmt.signed else 'u'}{fmt.bits // 8}") if fmt.bits in (8, 16, 32) else None
