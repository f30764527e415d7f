"""Samples and results as bytes, as the shells ``uart`` and ``axis`` carry them.

:class:`dwn_hw.hardware.frames.Layout` has the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.exports import interface
from dwn_hw.hardware import frames
from dwn_hw.hardware.design import Design
from dwn_hw.ir import packing

Ints = npt.NDArray[np.int64]


def pack_samples(codes: Ints, design: Design) -> list[bytes]:
    """Codes (samples, features…): each sample's transfers, each in whole bytes."""
    words = np.packbits(interface.pack_port(codes, design), axis=1, bitorder="little")
    return [sample.tobytes() for sample in words.reshape(len(codes), -1)]


def pack_results(values: Sequence[Ints], design: Design) -> list[bytes]:
    """What the port y gives for the values of all edges (samples, …), in whole bytes."""
    edges = design.network.edges()
    bits = [packing.pack(values[at], edges[at]) for at in ((-1, -2) if design.with_scores else (-1,))]
    return [row.tobytes() for row in np.packbits(np.concatenate(bits, axis=1), axis=1, bitorder="little")]


def unpack_results(results: list[bytes], design: Design, described: dict[str, Any]) -> tuple[dict[str, Ints], Ints]:
    """Results with their clocks: the output's fields by name, each (samples, *shape), and clocks (samples,)."""
    edges, size = design.network.edges(), frames.Layout.of(described).y_bytes
    rows = np.frombuffer(b"".join(results), np.uint8).reshape(len(results), size + frames.CLOCK_BYTES)
    bits = np.unpackbits(rows[:, :size], axis=1, bitorder="little")
    fields = {}
    for field, edge in zip(described["output"]["fields"], (edges[-1], edges[-2]), strict=False):
        fields[field["name"]] = packing.unpack(bits[:, field["lsb"] : field["lsb"] + edge.bits], edge)
    clocks = rows[:, size:].astype(np.int64) @ (np.int64(1) << 8 * np.arange(frames.CLOCK_BYTES))
    return fields, clocks
