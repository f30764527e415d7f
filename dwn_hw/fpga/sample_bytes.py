"""Samples and results as bytes, as the shells ``uart`` and ``axis`` carry them.

:class:`dwn_hw.hardware.serial_frames.Layout` has the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwn_hw.hardware import port_packing, serial_frames
from dwn_hw.hardware.interface import Interface, output_edges
from dwn_hw.hardware.kinds import Design
from dwn_hw.ir import packing

Ints = npt.NDArray[np.int64]


def pack_samples(codes: Ints, design: Design) -> list[bytes]:
    """Codes (samples, features…): each sample's transfers, each in whole bytes."""
    words = np.packbits(port_packing.pack_input(codes, design), axis=1, bitorder="little")
    return [sample.tobytes() for sample in words.reshape(len(codes), -1)]


def pack_results(values: Sequence[Ints], design: Design) -> list[bytes]:
    """What the port y gives for the values of all edges (samples, …), in whole bytes."""
    rows = np.packbits(port_packing.pack_output(values, design), axis=1, bitorder="little")
    return [row.tobytes() for row in rows]


def unpack_results(results: list[bytes], design: Design, interface: Interface) -> tuple[dict[str, Ints], Ints]:
    """Results with their clocks: the output's fields by name, each (samples, *shape), and clocks (samples,)."""
    size = interface.layout.y_bytes
    rows = np.frombuffer(b"".join(results), np.uint8).reshape(len(results), size + serial_frames.CLOCK_BYTES)
    bits = np.unpackbits(rows[:, :size], axis=1, bitorder="little")
    fields = {}
    edges = output_edges(design.network, design.with_scores)
    for field, (_, edge) in zip(interface.output.fields, edges, strict=True):
        fields[field.name] = packing.unpack(bits[:, field.lsb : field.lsb + edge.bits], edge)
    clocks = rows[:, size:].astype(np.int64) @ (np.int64(1) << 8 * np.arange(serial_frames.CLOCK_BYTES))
    return fields, clocks
