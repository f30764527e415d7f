"""The input contract: which integer codes the port carries, and what real number each stands for.

A :class:`Port` is the exact (rational) side of :class:`ir.Input`: the grid ``value = code · step + offset`` in the
user's own, unscaled units, and why it was chosen. :func:`encode` is the one code path from samples to codes; the
host side, the testbench and ``predict`` all use it.

The grid is, in this order (:func:`choose`): as stated (``u8/255``); the one that given data already lies on; the one
that the thresholds lie on; else a default, said to be one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import DataError, OptionError, Problem
from dwn_hw.trained import Floats

#: Bits of a feature when nothing better is known.
DEFAULT_BITS = 16

#: A port wider than this per feature is refused: float64 holds no finer grid exactly.
MAX_BITS = 32

#: Different thresholds needed before the grid they lie on counts as the data's.
MIN_EVIDENCE = 8

#: The highest code of a byte: a grid whose last threshold is there is that of bytes, and nothing lies above it.
_BYTE = 255

#: Powers of two between which the points of the default grid lie: within them float64 neither over- nor underflows.
_EXPONENTS = (-900, 900)

#: Grids tried, coarsest first, when one is to be inferred.
_CANDIDATES = (*(Fraction(1, 1 << k) for k in range(9)), Fraction(1, 255), *(Fraction(1, 1 << k) for k in range(9, 17)))


@dataclass(frozen=True, slots=True)
class Port:
    """Format, step and offset of the port, each shared by all features or one for each.

    ``origin`` is one of ``stated``, ``data``, ``thresholds``, ``default``, ``calibrated``; ``reason`` says it to a person.
    """

    formats: tuple[ir.Format, ...]
    steps: tuple[Fraction, ...]
    offsets: tuple[Fraction, ...]
    origin: str
    reason: str

    def input(self, features: int) -> ir.Input:
        """The node that begins a network of ``features`` features."""
        steps, offsets = tuple(map(str, self.steps)), tuple(map(str, self.offsets))
        return ir.Input((features,), self.formats, steps, offsets)


def parse(text: str) -> Port:
    """Read ``u8``, ``s12``, ``u8/255`` (code / 255), ``u8*4``, ``uQ4.12``, ``sQ3.12`` (a sign, 3 and 12 bits)."""
    match = re.fullmatch(r"([us])(?:(\d{1,3})(?:([/*])(\d{1,20}(?:\.\d{1,20})?))?|Q(\d{1,2})\.(\d{1,2}))", text.strip())
    if not match:
        raise _format_error(text)
    sign, bits, operator, number, whole, fraction = match.groups()
    if bits is not None:
        width, step = int(bits), Fraction(number or 1)
        if step == 0:
            raise _format_error(text)
        step = 1 / step if operator == "/" else step
    else:
        width, step = (sign == "s") + int(whole) + int(fraction), Fraction(1, 1 << int(fraction))
    if not 1 <= width <= MAX_BITS:
        rule = f"a width of 1 to {MAX_BITS} bits"
        raise OptionError(Problem("--input-format", rule, f"{text!r} ({width} bits)", "State a narrower format."))
    return Port((ir.Format(width, sign == "s"),), (step,), (Fraction(0),), "stated", f"stated as {text}")


def _format_error(text: str) -> OptionError:
    remedy = "Say u8, s12, u8/255, u8*4, uQ4.12 or sQ3.12."
    return OptionError(Problem("--input-format", "letter, width, and how a code decodes", repr(text), remedy))


def choose(thresholds: Floats, stated: str | None = None, data: npt.NDArray[Any] | None = None) -> Port:
    """The port for raw ``thresholds`` (features, bits): where, in the user's units, each comparison turns.

    ``stated`` is a format as :func:`parse` reads it; ``data`` (samples, features) are samples in the user's units.
    """
    if stated is not None:
        return parse(stated)
    if data is not None and (port := _on_grid(data, thresholds, "data", 0.0)) is not None:
        return port
    # A few thresholds lie on some grid by chance. They were moved through the scaler and back: allow its rounding.
    few = len(np.unique(thresholds)) < MIN_EVIDENCE
    if not few and (port := _on_grid(thresholds.T, thresholds, "thresholds", 1e-6)) is not None:
        return port
    return _default(thresholds, measured=data is not None)


def _on_grid(values: npt.NDArray[Any], thresholds: Floats, origin: str, tolerance: float) -> Port | None:
    """The coarsest candidate grid that holds every one of ``values``, wide enough for the thresholds as well."""
    real = np.asarray(values, np.float64)
    edges = np.asarray(thresholds, np.float64)
    # Beyond these ends no grid tried fits in so few bits.
    if not real.size or not (max(np.abs(real).max(), np.abs(edges).max()) <= 1 << DEFAULT_BITS):
        return None
    for step in _CANDIDATES:
        codes = np.rint(real * float(1 / step))
        exact = _decode(codes, step, Fraction(0))
        close = np.abs(exact - real) <= tolerance * np.abs(real).max(axis=0)
        # Data in float32 lies on the grid when it is the float32 nearest to a grid point.
        if (close | (exact.astype(np.float32) == real)).all():
            lowest, highest = int(codes.min()), int(codes.max())
            if origin == "thresholds" and highest != _BYTE:
                highest += 1  # values above the last threshold saturate, and must still be above it
            low = min(lowest, math.floor(edges.min() * float(1 / step)))
            high = max(highest, math.ceil(edges.max() * float(1 / step)))
            fmt = ir.Format.covering(low, high)
            if fmt.bits > DEFAULT_BITS:
                return None
            what = "the data lies" if origin == "data" else "the thresholds lie"
            reason = f"{what} on the grid of step {step}: {fmt!r}"
            return Port((fmt,), (step,), (Fraction(0),), origin, reason)
    return None


def _default(thresholds: Floats, measured: bool) -> Port:
    """16 bits, signed, the binary point of each feature as far left as its thresholds allow.

    Codes beyond a feature's thresholds saturate, which changes no comparison.
    """
    largest = np.abs(np.asarray(thresholds, np.float64)).max(axis=1)
    # A little more than the largest, so that codes on both sides of it exist: value · (1 + 2**-13) < 2**exponent.
    least, most = _EXPONENTS
    bounded = np.clip(largest, 2.0**least, 2.0**most)
    exponents = [
        math.frexp(near * (1 + 2**-13))[1] if value > 0 else 0 for value, near in zip(largest, bounded, strict=True)
    ]
    steps = tuple(Fraction(2) ** (exponent + 1 - DEFAULT_BITS) for exponent in exponents)
    name, why = "DEFAULT, not measured", "no format and no data was given"
    if measured:
        name, why = "DEFAULT", "the data lies on no grid of 16 bits or fewer; the report says what rounding changes"
    reason = f"{name}: {DEFAULT_BITS} bits a feature, signed, binary point by the feature's thresholds ({why})"
    return Port((ir.Format(DEFAULT_BITS, signed=True),), steps, (Fraction(0),), "default", reason)


@dataclass(frozen=True, slots=True)
class Encoded:
    """``codes`` (samples, features); how many values lay off the grid or beyond its ends, and by how much."""

    codes: npt.NDArray[np.int64]
    rounded: int
    saturated: int


def encode(port: ir.Input, x: npt.NDArray[Any]) -> Encoded:
    """Codes of samples ``x`` (samples, features…) in the user's own units: the nearest, saturating at the ends.

    Integers are numbers where the step is 1 or features have their own, unless they :func:`are_codes` already.
    Raises DataError for a wrong feature count, or values that are not numbers.
    """
    x = check_features(port, x)
    edge = port.edge
    if are_codes(port, x):
        return Encoded(x.astype(np.int64), 0, 0)
    steps, offsets = _columns(port.steps, x.shape[1]), _columns(port.offsets, x.shape[1])
    if x.dtype.kind in "iu" and not _takes_integers(port):
        rule = f"real values, or codes of the port's own type ({', '.join(sorted(map(repr, set(edge.formats))))})"
        raise DataError(Problem("x", rule, f"{x.dtype}", "Convert x to float, or name the array 'codes'."))
    formats = edge.flat_formats()
    low, high = np.array([fmt.low for fmt in formats], np.float64), np.array([fmt.high for fmt in formats], np.float64)
    real = x.astype(np.float64)
    with np.errstate(over="ignore"):  # to infinity, which saturates as any great value does
        rounded = nearest(real, np.array([float(1 / s) for s in steps]), np.array([float(o) for o in offsets]))
        codes = np.clip(rounded, low, high)
        exact = decode(port, rounded, np.dtype(np.float64))
        off_grid = (exact != real) & (exact.astype(np.float32) != real)
    return Encoded(codes.astype(np.int64), int(off_grid.sum()), int((codes != rounded).sum()))


def nearest(real: Floats, rate: Floats | float, offset: Floats | float) -> Floats:
    """The code nearest to each number, the even one of two, before it saturates; ``rate`` is one over the step."""
    return np.asarray(np.rint((real - offset) * rate))


def are_codes(port: ir.Input, x: npt.NDArray[Any]) -> bool:
    """Whether ``x`` holds codes, not numbers: integers whose dtype is exactly the port's format (``uint8`` for ``u8``).

    Of a port whose features have their own grids they are numbers: no dtype says that.
    """
    if x.dtype.kind not in "iu" or len(port.steps) > 1 or port.steps == ("1",):
        return False
    return {_dtype(fmt) for fmt in port.edge.formats} == {x.dtype}


def _takes_integers(port: ir.Input) -> bool:
    """Integers beside one step for all but 1 might be codes as well as numbers, and are refused."""
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
    """The real numbers (samples, features) that codes stand for: the float64 nearest to the exact rational, as ``dtype``."""
    steps, offsets = _columns(port.steps, codes.shape[1]), _columns(port.offsets, codes.shape[1])
    columns = [_decode(codes[:, f], steps[f], offsets[f]) for f in range(codes.shape[1])]
    with np.errstate(over="ignore"):  # a number too great for the dtype is infinite there
        return np.stack(columns, axis=1).astype(dtype)


def _decode(codes: npt.NDArray[Any], step: Fraction, offset: Fraction) -> npt.NDArray[np.float64]:
    """float64 nearest to ``code · step + offset``: one rounding, in the division by the common denominator."""
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


#: Integers up to this are float64's own.
_EXACT = 1 << 53


def _columns(texts: Iterable[str], features: int) -> tuple[Fraction, ...]:
    """One value for each of ``features``: they are shared by all, or by the entries of each row of the first axis."""
    values = tuple(Fraction(text) for text in texts)
    return tuple(value for value in values for _ in range(features // len(values)))


def _dtype(fmt: ir.Format) -> np.dtype[Any] | None:
    return np.dtype(f"{'i' if fmt.signed else 'u'}{fmt.bits // 8}") if fmt.bits in (8, 16, 32) else None
