"""Packs values of an edge into the bits of a port, unpacks them, and writes bits as text for ``$readmemh``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dwn_hw import ir


def pack(values: npt.NDArray[np.int64], edge: ir.Edge) -> npt.NDArray[np.uint8]:
    """Pack values (samples, *edge.shape) into (samples, bits of the edge): each in two's complement, the first entry lowest."""
    flat = values.reshape(len(values), -1)
    formats = edge.flat_formats()
    widths = np.array([fmt.bits for fmt in formats])
    entry = np.repeat(np.arange(len(formats)), widths)
    shift = np.arange(len(entry)) - np.repeat(np.cumsum(widths) - widths, widths)
    narrow = np.uint8 if len(widths) and widths.max() <= 8 else np.int64  # the lowest bits are the same
    return np.asarray(flat.astype(narrow)[:, entry] >> shift.astype(narrow) & narrow(1), np.uint8)


def unpack(bits: npt.NDArray[np.uint8], edge: ir.Edge) -> npt.NDArray[np.int64]:
    """The inverse of :func:`pack`: bits (samples, bits of the edge) as values (samples, *edge.shape)."""
    columns, low = [], 0
    for fmt in edge.flat_formats():
        code = bits[:, low : low + fmt.bits].astype(np.int64) @ (np.int64(1) << np.arange(fmt.bits))
        columns.append(np.where(code > fmt.high, code - (1 << fmt.bits), code))
        low += fmt.bits
    return np.stack(columns, axis=1).reshape(len(bits), *edge.shape)


def to_hex(bits: npt.NDArray[np.uint8]) -> str:
    """The text of packed rows for ``$readmemh``: one row a line, its highest bit first."""
    rows = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
    digits = -(-bits.shape[1] // 4)
    return "".join(row.tobytes().hex()[-digits:] + "\n" for row in rows)
