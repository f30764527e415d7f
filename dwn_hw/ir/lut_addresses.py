"""Which address of its table each LUT of a layer reads for given bits, of all samples at once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.ir.lut_nodes import LutLayer


def addresses(node: LutLayer, bits: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Addresses (luts, samples) for the bits (samples, bits) in front of a layer; a row's first input is the lowest bit."""
    # By bit first, so that the bits of all samples lie together; short rows read a last row of zeros in the slots they lack.
    columns = np.zeros((bits.shape[1] + 1, len(bits)), np.uint8)
    columns[:-1] = bits.T
    found = np.zeros((len(node.wires), len(bits)), np.uint8)
    for slot, wires in enumerate(itertools.zip_longest(*node.wires, fillvalue=bits.shape[1])):
        found |= columns[np.array(wires)] << slot
    return found
