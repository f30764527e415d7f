"""Codes and results as the bits of a design's ports ``x`` and ``y``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw.hardware.interface import output_edges
from dwn_hw.hardware.kinds import Design
from dwn_hw.ir import packing


def pack_input(codes: npt.NDArray[np.int64], design: Design) -> npt.NDArray[np.uint8]:
    """Codes (samples, features) as what ``x`` carries: (samples · transfers, bits), transfer after transfer."""
    if design.word is None:
        return packing.pack(codes, design.network.input.edge)
    return packing.pack(codes.reshape(-1, 1), ir.Edge((1,), (design.word,)))


def pack_output(values: Sequence[npt.NDArray[np.int64]], design: Design) -> npt.NDArray[np.uint8]:
    """What ``y`` gives, (samples, bits), for the values (samples, …) of the last edges: of all, or of the last two."""
    edges = output_edges(design.network, design.with_scores)
    return np.concatenate(
        [packing.pack(value, edge) for value, (_, edge) in zip(values[::-1], edges, strict=False)], axis=1
    )
