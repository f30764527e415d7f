"""Samples part by part, so that a file may be larger than memory.

A :class:`Stream` is what a file holds, with its classes, and gives its samples in parts. Of a large ``.npy``, or a member of a
large ``.npz``, one part is in memory at a time; whatever is smaller, or of another form, is loaded whole and cut.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from dwn_hw.errors import DataError, Problem, in_words
from dwn_hw.ir import sample_files
from dwn_hw.ir.column_coding import Told
from dwn_hw.ir.sample_files import Samples

#: The bytes of samples from which a file is read in parts, and about the bytes of a part.
LARGE, PART = 1 << 28, 1 << 25

#: The most bytes of the header of an array.
_HEADER = 10_000


@dataclass(frozen=True, slots=True)
class Stream:
    """``samples`` samples in parts, each with its place; ``y``: all their classes, or None; ``name``: for messages.

    ``told``: what was done with a table, known of all samples when all parts were given.
    """

    samples: int
    y: npt.NDArray[Any] | None
    name: str
    parts: Callable[[], Iterator[tuple[int, Samples]]]
    told: Told = field(default_factory=Told)

    @staticmethod
    def of(samples: Samples, told: Told | None = None) -> Stream:
        """Samples that are in memory, in parts; ``told``: what was done with the table that they were."""
        array = samples.codes if samples.x is None else samples.x
        size = 0 if array is None else array[:1].nbytes

        def parts() -> Iterator[tuple[int, Samples]]:
            at_once = rows_at_once(size)
            for first in range(0, len(samples), at_once):
                at = slice(first, first + at_once)
                x, codes = (None if own is None else own[at] for own in (samples.x, samples.codes))
                yield first, replace(samples, x=x, codes=codes, y=None)

        return Stream(len(samples), samples.y, samples.name, parts, told or Told())


def rows_at_once(size: int) -> int:
    """How many samples of so many bytes make a part: whole blocks of the emulator, where that is possible."""
    rows = max(1, PART // max(1, size))
    return rows if rows < sample_files.BLOCK else rows // sample_files.BLOCK * sample_files.BLOCK


def of_npy(path: Path) -> Stream | None:
    """A large ``.npy`` file, or None for a smaller one. Raises DataError."""
    if path.stat().st_size <= LARGE:
        return None
    return _of_member(path, "x", lambda: path.open("rb"), None)


def of_npz(path: Path) -> Stream | None:
    """An ``.npz`` file with large samples, or None for a smaller one. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (OSError, zipfile.BadZipFile, ValueError):
        return None  # whoever loads it whole says what is wrong
    held = [name for name in ("x", "codes") if f"{name}.npy" in sizes]
    if len(held) != 1 or sizes[f"{held[0]}.npy"] <= LARGE:
        return None
    y = None
    if "y.npy" in sizes:
        with _damage(path), zipfile.ZipFile(path) as archive, archive.open("y.npy") as file:
            y = np.lib.format.read_array(file, allow_pickle=False, max_header_size=_HEADER)
    return _of_member(path, held[0], lambda: zipfile.ZipFile(path).open(f"{held[0]}.npy"), y)


def _of_member(path: Path, name: str, opened: Callable[[], IO[bytes]], y: npt.NDArray[Any] | None) -> Stream | None:
    """The array ``name`` that begins where ``opened`` begins; None for one whose samples do not follow each other."""
    with _damage(path), opened() as file:
        shape, transposed, dtype = _header(file)
    if transposed or dtype.hasobject or len(shape) < 2 or 0 in shape:
        return None
    problem = None if y is None else sample_files.shape_problem(y, shape[0], str(path))
    if problem:
        raise DataError(problem)

    def parts() -> Iterator[tuple[int, Samples]]:
        size = math.prod(shape[1:]) * dtype.itemsize
        at_once = rows_at_once(size)
        with _damage(path), opened() as file:
            _header(file)
            for first in range(0, shape[0], at_once):
                count = min(at_once, shape[0] - first)
                data = file.read(count * size)
                if len(data) != count * size:
                    raise EOFError(f"{first + len(data) // size} of {shape[0]} samples")
                array = np.frombuffer(data, dtype).reshape(count, *shape[1:])
                x, codes = (array, None) if name == "x" else (None, array)
                yield first, Samples(x, codes, None, path.name)

    return Stream(shape[0], y, path.name, parts)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, transposed, dtype = read(file, max_header_size=_HEADER)
    return tuple(shape), bool(transposed), dtype


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Make a DataError of what numpy and zipfile raise for a damaged file."""
    try:
        yield
    except DataError:
        raise
    except (OSError, *sample_files.DAMAGE) as error:
        got = str(error).splitlines()[0] if str(error) else in_words(error)
        problem = Problem(str(path), "a file of samples", got, "Save it again: numpy.savez(path, x=samples).")
        raise DataError(problem) from None
