"""Builds functions of more inputs than a LUT has."""

from __future__ import annotations

from collections.abc import Sequence

from dwn_hw.hardware.lut_netlist import LutBuilder
from dwn_hw.ir.truth_tables import cofactors


def shannon_cost(inputs: int, k: int) -> int:
    """The number of LUTs of ``k`` inputs that :func:`shannon` takes for any function of ``inputs`` inputs."""
    return 1 if inputs <= k else 2 * shannon_cost(inputs - 1, k) + 1


def shannon(builder: LutBuilder, name: str, inputs: Sequence[int], table: int, k: int) -> int:
    """Build any function of ``inputs``, by Shannon expansion from the last input down to LUTs of ``k`` inputs."""
    if len(inputs) <= k:
        return builder.lut(name, inputs, table)
    low, high = cofactors(table, len(inputs), len(inputs) - 1)
    halves = [
        shannon(builder, f"{name}_{len(inputs) - 1}is{value}", inputs[:-1], half, k)
        for value, half in ((0, low), (1, high))
    ]
    return builder.lut(name, [*halves, inputs[-1]], 0b11001010)  # input 2 chooses: 1 of input 0, input 1
