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
    planes: torch.Tensor, wires: torch.Tensor, tables: torch.Tensor, rows: torch.Tensor, out: torch.Tensor
) -> None:
    """Planes ``rows`` of ``out`` become what LUTs of n inputs give for ``planes``.

    ``wires`` (luts, n) int32, slot 0 the address LSB; ``tables`` as :func:`table_words` gives them; ``rows`` (luts,) int32.
    """
    count, n = wires.shape
    words = planes.shape[1]
    bl, bw = 4, 64
    grid = (-(-count // bl), -(-words // bw))
    _launch("look_up", grid, (planes, wires, tables, rows, out, count, words), N=n, BL=bl, BW=bw)


def table_words(luts: torch.Tensor) -> torch.Tensor:
    """Tables (luts, 2^n) as bits ``entry > 0``, 32 entries in a word: int32 (luts, max(1, 2^n / 32)), entry 0 lowest."""
    bits = (luts > 0).to(torch.int64)
    count, entries = bits.shape
    size = min(32, entries)
    place = torch.arange(size, device=luts.device)
    words = (bits.view(count, -1, size) << place).sum(dim=2)
    return torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32)


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
