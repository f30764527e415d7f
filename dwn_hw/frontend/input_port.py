"""Chooses the input contract: which integer codes the port carries, and what real number each stands for.

A :class:`Port` is the exact (rational) side of :class:`ir.Input`: the grid ``value = code · step + offset`` in the
user's own, unscaled units, and why it was chosen. :func:`dwn_hw.ir.codes.encode` is the one path from samples to codes; the
host side, the testbench and ``predict`` all use it.

The grid is, in this order (:func:`choose`): as stated (``u8/255``); the one that given data already lies on; the one
that the thresholds lie on; else a default, said to be one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.errors import OptionError, Problem
from dwn_hw.ir.arrays import Floats
from dwn_hw.ir.codes import decode_column
from dwn_hw.ir.network import BY_THRESHOLDS

#: The bits of a feature when nothing better is known.
DEFAULT_BITS = 16

#: The most bits of a feature; a wider port is refused, because float64 holds no finer grid exactly.
MAX_BITS = 32

#: The number of different thresholds needed before the grid that they lie on counts as the data's.
MIN_EVIDENCE = 8

#: The highest code of a byte: a grid whose last threshold is there is that of bytes, and nothing lies above it.
_BYTE = 255

#: The powers of two between which the points of the default grid lie: within them float64 neither over- nor underflows.
_EXPONENTS = (-900, 900)

#: The steps of the grids that are tried, coarsest first, when one is to be inferred.
_CANDIDATES = (*(Fraction(1, 1 << k) for k in range(9)), Fraction(1, 255), *(Fraction(1, 1 << k) for k in range(9, 17)))


@dataclass(frozen=True, slots=True)
class Port:
    """The formats, steps and offsets of a port, each shared by all features or one for each, and how numbers are rounded to it.

    ``origin`` is one of ``stated``, ``data``, ``thresholds``, ``default``, ``calibrated``; ``reason`` says it to a person.
    """

    formats: tuple[ir.Format, ...]
    steps: tuple[Fraction, ...]
    offsets: tuple[Fraction, ...]
    origin: str
    reason: str
    rounding: str = ir.NEAREST

    def input(self, features: int) -> ir.Input:
        """The node that begins a network of ``features`` features."""
        steps, offsets = tuple(map(str, self.steps)), tuple(map(str, self.offsets))
        return ir.Input((features,), self.formats, steps, offsets, self.rounding)


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
        exact = decode_column(codes, step, Fraction(0))
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
    """The default port: 16 bits, signed, the binary point of each feature as far left as its thresholds allow.

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
    name, why = f"{BY_THRESHOLDS}, not measured", "no format and no data was given"
    if measured:
        name, why = BY_THRESHOLDS, "the data lies on no grid of 16 bits or fewer; the report says what rounding changes"
    reason = f"{name}: {DEFAULT_BITS} bits a feature, signed, binary point by the feature's thresholds ({why})"
    return Port((ir.Format(DEFAULT_BITS, signed=True),), steps, (Fraction(0),), "default", reason)


def with_bits(port: Port, bits: Sequence[bool]) -> Port:
    """The port with one bit for each feature that is 0 or 1 and nothing else, as a category is; ``bits``: which are."""
    if not any(bits):
        return port
    count = len(bits)
    formats = port.formats * (count // len(port.formats))
    steps, offsets = port.steps * (count // len(port.steps)), port.offsets * (count // len(port.offsets))
    narrow = tuple(ir.Format(1) if bit else fmt for bit, fmt in zip(bits, formats, strict=True))
    on_grid = tuple(Fraction(1) if bit else step for bit, step in zip(bits, steps, strict=True))
    zeros = tuple(Fraction(0) if bit else offset for bit, offset in zip(bits, offsets, strict=True))
    same = len(set(on_grid)) == len(set(zeros)) == 1
    reason = f"{port.reason}; one bit for each of {sum(bits)} categories"
    return replace(
        port,
        formats=narrow[:1] if len(set(narrow)) == 1 else narrow,
        steps=on_grid[:1] if same else on_grid,
        offsets=zeros[:1] if same else zeros,
        reason=reason,
    )
