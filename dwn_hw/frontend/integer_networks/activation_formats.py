"""Chooses the fixed-point format of what each layer that sums reads, where nothing was searched for.

It is the one that the user stated; else the model's own; else 16 bits that hold what was seen on data; else DeepShift's 16.16.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dwn_hw import ir
from dwn_hw.errors import DataError, OptionError, Problem
from dwn_hw.frontend.integer_networks import float64_reference, freeze_network
from dwn_hw.frontend.integer_networks.trained_network import (
    Doubles,
    FixedPoint,
    Levels,
    Table,
    TrainedNetwork,
    Weighted,
)

#: The bits of an activation whose range is known from data, and the bits of room left above the greatest seen.
RANGED_BITS, ROOM = 16, 1

#: The same of the values of a smooth function, each of which is an entry of a table; and the most that may be stated.
TABLE_BITS, MOST_TABLE_BITS = 8, 10

#: The bits of the widest format that may be stated: its sums must fit in an int64.
_MOST_BITS = 32

_EXAMPLE = "Say 16.16, or 4.8: bits before the point, the sign among them, and bits behind it."


#: The beginning of the reason where each layer rounds to its format by itself.
OWN = "the model's own"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The format of each layer that sums, and its ``origin``: ``stated``, ``model``, ``model but biases`` (which the model
    leaves as they are), ``levels``, ``data``, ``default`` or ``calibrated``.
    """

    formats: tuple[FixedPoint, ...]
    origin: str
    reason: str


def choose(model: TrainedNetwork, stated: str | None, x: Doubles | None) -> Chosen:
    """Choose formats for ``model``. ``x``: samples as the model takes them, (samples, *shape), if there are any."""
    count = len(model.layers)
    tables = behind_tables(model)
    if stated is not None:
        wanted = parse(stated)
        _check_tables(tables, wanted, stated)
        formats = tuple(layer.own if layer.discrete and layer.own else wanted for layer in model.layers)
        return Chosen(formats, "stated", f"stated as {stated}, floored as DeepShift does")
    owns = [layer.own for layer in model.layers]
    known = tuple(own for own in owns if own is not None)
    if len(known) == count:
        texts = ", ".join(sorted({repr(own.format) for own in known}))
        moved = max(freeze_network.bias_error(layer, own) for layer, own in zip(model.layers, known, strict=True))
        if any(layer.discrete for layer in model.layers):
            return Chosen(known, "levels", "the port's, and the values of the levels before each layer")
        if not moved:
            return Chosen(known, "model", f"{OWN}: {texts}, floored")
        biases = f"its biases, which it does not round, to the grid of the sums (within {moved:.1e})"
        return Chosen(known, "model but biases", f"activations as the model rounds them: {texts}, floored; {biases}")
    if x is not None:
        ranged = by_range(model, x)
        mixed = tuple(own or found for own, found in zip(owns, ranged, strict=True))
        few = f" ({TABLE_BITS} behind a smooth function)" if any(tables) else ""
        return Chosen(mixed, "data", f"{RANGED_BITS} bits{few} by the range seen on {len(x)} samples, the nearest")
    if any(tables):
        remedy = "Give samples, --data, by which 8 bits are placed; or say --activations 1.7."
        named = [table for table in tables if table is not None]
        raise OptionError(
            *(Problem(t.name, "a format for the values of a smooth function", t.kind, remedy) for t in named)
        )
    wide = FixedPoint.deepshift(16, 16)
    reason = "DEFAULT, not measured: the model rounds no activations, and no data was given; 16.16, floored"
    return Chosen(tuple(own or wide for own in owns), "default", reason)


def behind_tables(model: TrainedNetwork) -> list[Table | None]:
    """For each layer the smooth function whose values it reads, or None."""
    found: list[Table | None] = []
    table = None
    for step in model.steps:
        if isinstance(step, Weighted):
            found.append(table)
            table = None
        elif isinstance(step, Table):
            table = step
        elif isinstance(step, Levels | ir.CompareToMean):
            table = None
    return found


def _check_tables(tables: Sequence[Table | None], wanted: FixedPoint, stated: str) -> None:
    """Refuse a format for which a smooth function's table would have too many entries."""
    if wanted.format.bits <= MOST_TABLE_BITS:
        return
    rule = f"at most {MOST_TABLE_BITS} bits behind a smooth function, whose values are entries of a table"
    remedy = "Say --activations 1.7, or give samples, --data."
    named = [table for table in tables if table is not None]
    if named:
        raise OptionError(*(Problem("--activations", f"{rule}, {t.name}", stated, remedy) for t in named))


def parse(text: str) -> FixedPoint:
    """Read ``16.16``: integer bits, the sign among them, and fraction bits, floored and clamped as DeepShift does."""
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", text.strip())
    if match is None or int(match[1]) < 1 or int(match[1]) + int(match[2]) > _MOST_BITS:
        rule = f"integer bits (at least 1) and fraction bits, at most {_MOST_BITS} together"
        raise OptionError(Problem("--activations", rule, repr(text), _EXAMPLE))
    return FixedPoint.deepshift(int(match[1]), int(match[2]))


def by_range(model: TrainedNetwork, x: Doubles, bits: int = RANGED_BITS) -> tuple[FixedPoint, ...]:
    """The formats of ``bits`` bits, unsigned where nothing negative was seen, that hold twice the greatest value seen; behind a
    smooth function of :data:`TABLE_BITS`, that hold it once.
    """
    ends = np.zeros((len(model.layers), 2))

    def watch(layer: int, values: Doubles) -> None:
        ends[layer] = min(ends[layer, 0], values.min()), max(ends[layer, 1], values.max())

    float64_reference.run(model, (float64_reference.WIDE,) * len(model.layers), x, watch)
    tables = behind_tables(model)
    return tuple(
        _holding(low, high, bits, ROOM) if table is None else _holding(low, high, TABLE_BITS, 0)
        for (low, high), table in zip(ends.tolist(), tables, strict=True)
    )


def _holding(low: float, high: float, bits: int, room: int) -> FixedPoint:
    signed = low < 0
    exponent = math.frexp(max(high, -low))[1] + room
    return fixed(bits, signed, exponent + signed - bits)


def fixed(bits: int, signed: bool, lsb: int) -> FixedPoint:
    """The rounding to the nearest code of a plain format, of which all codes are used."""
    return FixedPoint(lsb, -(1 << (bits - 1)) if signed else 0, (1 << (bits - signed)) - 1, "half_up")


class Saturation:
    """Watches a run: how many activations of each layer lie beyond its format, and the worst of them."""

    def __init__(self, formats: Sequence[FixedPoint]) -> None:
        self.formats = formats
        self.counts = [0] * len(formats)
        self.worst: list[tuple[float, int] | None] = [None] * len(formats)
        self._seen = [0] * len(formats)

    def watch(self, layer: int, values: Doubles) -> None:
        """Take one layer's values (samples, …), in the order of the samples."""
        wanted = self.formats[layer]
        flat = values.reshape(len(values), -1)
        codes = wanted.round(flat)
        over = np.maximum(codes - wanted.highest, wanted.lowest - codes)
        self.counts[layer] += int((over > 0).sum())
        sample = int(over.max(axis=1).argmax())
        if over[sample].max() > 0:
            value = float(flat[sample, over[sample].argmax()])
            worst = self.worst[layer]
            if worst is None or abs(value) > abs(worst[0]):
                self.worst[layer] = value, self._seen[layer] + sample
        self._seen[layer] += len(values)

    def refuse(self, model: TrainedNetwork, name: str) -> None:
        """Raise DataError, with an example of each layer, if any activation lay beyond a format that was stated for it."""
        problems = []
        for layer, wanted, count, worst in zip(model.layers, self.formats, self.counts, self.worst, strict=True):
            if worst is not None:
                value, sample = worst
                low, high = (end * 2.0**wanted.lsb for end in (wanted.lowest, wanted.highest))
                rule = f"activations within {low:g}…{high:g} ({wanted.format!r})"
                got = f"{value:g} for sample {sample} of {name} ({count} such activations)"
                # DeepShift clamps to 2**(bits - 1) - 1, not to just below 2**(bits - 1).
                needed = math.ceil(abs(value) + 1).bit_length() + 1 - (math.ceil(abs(value) + 1).bit_count() == 1)
                remedy = f"State at least {needed} integer bits, or leave --activations out."
                problems.append(Problem(layer.name, rule, got, remedy))
        if problems:
            raise DataError(*problems)
