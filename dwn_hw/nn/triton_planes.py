"""Bits of many samples as planes on a GPU, by the kernels in ``kernels/emulate_luts_triton.py``: plain functions on tensors.

Planes are int32 (bits, words): bit ``s`` of word ``w`` is of sample ``32·w + s``. There is an even number of words, so that two
of them, little-endian, are a word of the planes of :mod:`dwn_hw.ir.emulate`. What lies after the last sample may be anything.
"""

from __future__ import annotations

from typing import Any

import torch

from dwn_hw import _assets


def words_for(samples: int) -> int:
    """The words of a plane of so many samples: an even number."""
    return -(-samples // 64) * 2


def pack(x: torch.Tensor) -> torch.Tensor:
    """The planes (inputs, words) of ``x > 0``, of ``x`` (samples, inputs) of any type and strides."""
    samples, inputs = x.shape
    planes = torch.empty(inputs, words_for(samples), dtype=torch.int32, device=x.device)
    given = x.view(torch.uint8) if x.dtype == torch.bool else x
    bi, bw = 8, 4
    _launch("pack", _tiles(planes, bi, bw), (given, planes, samples, *planes.shape, *x.stride()), BI=bi, BW=bw)
    return planes


def unpack(planes: torch.Tensor, samples: int, dtype: torch.dtype) -> torch.Tensor:
    """The bits as 0 and 1 of a type: (samples, bits)."""
    out = torch.empty(samples, len(planes), dtype=dtype, device=planes.device)
    bi, bw = 32, 1
    _launch("unpack", _tiles(planes, bi, bw), (planes, out, samples, *planes.shape, *out.stride()), BI=bi, BW=bw)
    return out


def encode(codes: torch.Tensor, features: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """The planes of ``codes[features[t]] >= thresholds[t]``, a plane a threshold.

    ``codes`` (features, samples) of any integer type; ``features`` (thresholds,) int32; ``thresholds`` (thresholds,) int32 or
    int64, whichever holds every code.
    """
    samples, count = codes.shape[1], len(thresholds)
    planes = torch.empty(count, words_for(samples), dtype=torch.int32, device=codes.device)
    bt, bw = 4, 8
    given = codes.contiguous()
    arguments = (given.view(torch.uint8) if given.dtype == torch.bool else given, features, thresholds, planes)
    _launch("encode", _tiles(planes, bt, bw), (*arguments, samples, *planes.shape), BT=bt, BW=bw)
    return planes


def look_up(
    planes: torch.Tensor,
    wires: torch.Tensor,
    tables: torch.Tensor,
    out: torch.Tensor,
    rows: torch.Tensor | None = None,
) -> None:
    """All planes of ``out``, or ``rows`` of them, become what LUTs of n inputs give for ``planes``.

    ``wires`` (luts, n) int32, slot 0 the address LSB; ``tables`` (luts, words) as :func:`pack_tables` gives them, words that no
    entry reaches may be absent; ``rows`` (luts,) int32.
    """
    count, n = wires.shape
    words = planes.shape[1]
    bl, bw = 4, 64
    grid = (-(-count // bl), -(-words // bw))
    given = (planes, wires.contiguous(), tables, wires if rows is None else rows, out)
    constants = {"N": n, "ORDERED": rows is None, "BL": bl, "BW": bw}
    _launch("look_up", grid, (*given, count, words, tables.stride(0)), **constants)


def pack_tables(luts: torch.Tensor) -> torch.Tensor:
    """Tables (luts, 2^n) as bits ``entry > 0``: (luts, words), entry ``a`` at bit ``a % 32`` of word ``a // 32``."""
    return pack(luts.t())


def evaluate(x: torch.Tensor, wires: torch.Tensor, luts: torch.Tensor) -> torch.Tensor:
    """Whether the entries of ``luts`` at the addresses of ``x`` (samples, inputs) are above 0: (samples, luts), no gradient.

    Bits travel packed, so that a LUT reads and computes 32 samples at a time. ``wires`` (luts, n).
    """
    planes = pack(x)
    out = torch.empty(len(luts), planes.shape[1], dtype=torch.int32, device=x.device)
    look_up(planes, wires, pack_tables(luts), out)
    return unpack(out, len(x), luts.dtype)


def vote(
    planes: torch.Tensor,
    firsts: torch.Tensor,
    members: torch.Tensor,
    weights: torch.Tensor,
    biases: torch.Tensor,
    samples: int,
) -> torch.Tensor:
    """Scores (groups, samples), int64: the bias of each group and the weights of its members whose bit is 1.

    ``firsts`` (groups + 1,): where each group begins in ``members`` and ``weights``. ``weights`` and ``biases`` are both int32 or
    int64, whatever holds every score.
    """
    words = planes.shape[1]
    scores = torch.empty(len(biases), samples, dtype=torch.int64, device=planes.device)
    bw = 8
    grid = (len(biases), -(-words // bw))
    _launch("vote", grid, (planes, firsts, members, weights, biases, scores, samples, words), BW=bw)
    return scores


def _tiles(planes: torch.Tensor, rows: int, words: int) -> tuple[int, int]:
    return -(-planes.shape[0] // rows), -(-planes.shape[1] // words)


def _launch(name: str, grid: tuple[int, int], arguments: tuple[Any, ...], **constants: int) -> None:
    """Run a kernel on the device of its first argument."""
    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]
        _assets.kernel("emulate_luts_triton.py").__dict__[name][grid](*arguments, **constants)
