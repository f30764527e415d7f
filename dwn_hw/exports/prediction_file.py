"""Files of predictions, written as they come: ``.npz``, ``.npy``, ``.csv``, ``.parquet``.

An ``.npz`` holds ``codes``, ``scores`` and ``y`` (of a network that ends in numbers, codes and scores), each in the narrowest
dtype that holds all of the network's; an ``.npy`` the classes alone, or the scores; a table a line a sample: class, name, scores.
A file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from dwn_hw import ir, toolchain
from dwn_hw.errors import DataError, Problem
from dwn_hw.ir.codes import narrowest
from dwn_hw.ir.sample_files import check_out

Array = npt.NDArray[Any]

#: The endings of files that are no ``.npz``.
_KINDS = (".npy", ".csv", ".parquet")


class Sink(Protocol):
    """Takes predictions part by part: codes (samples, …), scores (samples, …), classes (samples,)."""

    def add(self, codes: Array, scores: Array, y: Array) -> None:
        """Take a part."""


class Kept:
    """Keeps all in memory."""

    def __init__(self) -> None:
        self._parts: list[tuple[Array, Array, Array]] = []

    def add(self, codes: Array, scores: Array, y: Array) -> None:
        """Keep a part."""
        self._parts.append((codes, scores, y))

    def arrays(self) -> tuple[Array, Array, Array]:
        """All codes, scores and classes."""
        if len(self._parts) == 1:
            return self._parts[0]
        codes, scores, y = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return codes, scores, y


class Nothing:
    """Forgets all."""

    def add(self, codes: Array, scores: Array, y: Array) -> None:
        """Forget a part."""


@contextlib.contextmanager
def written(path: Path, network: ir.Network) -> Iterator[Sink]:
    """A sink that becomes the file ``path`` when all went well. Raises DataError for one that cannot be written."""
    check_out(path, (".npz", *_KINDS))
    path = path.resolve()  # what a link leads to is written, not the link
    partial = path.parent / f"{path.name}.partial"
    kinds: dict[str, Callable[[Path, ir.Network], Any]] = dict(zip(_KINDS, (_Npy, _Csv, _Parquet), strict=True))
    try:
        with kinds.get(path.suffix.lower(), _Npz)(partial, network) as sink:
            yield sink
        partial.replace(path)
    except OSError as error:
        raise DataError(Problem(str(path), "a writable file", f"{error.strerror}", "Choose another -o.")) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


class _Npz:
    """All arrays, each in a temporary file beside the other until the end, since an archive takes one after the other."""

    def __init__(self, path: Path, network: ir.Network) -> None:
        self._path, self._network = path, network
        steps = network.steps()
        self._kinds = {"codes": narrowest(network.input.edge.formats)}
        if network.classifies:
            self._kinds |= {"scores": narrowest(network.scores_edge.formats)}
        last = "y" if network.classifies else "scores"
        self._kinds[last] = narrowest(steps[-1].after.formats)
        self._shapes: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> _Npz:
        self._files = {name: tempfile.TemporaryFile(dir=self._path.parent) for name in self._kinds}  # noqa: SIM115
        return self

    def add(self, codes: Array, scores: Array, y: Array) -> None:
        """Append a part to each array."""
        given = (
            {"codes": codes, "scores": scores, "y": y} if self._network.classifies else {"codes": codes, "scores": y}
        )
        for name, part in given.items():
            self._files[name].write(np.ascontiguousarray(part, self._kinds[name]).tobytes())
            count, *rest = self._shapes.get(name, (0, *part.shape[1:]))
            self._shapes[name] = (count + len(part), *rest)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                with zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED) as archive:
                    for name, file in self._files.items():
                        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                            _copy(file, member, self._kinds[name], self._shapes[name])
        finally:
            for file in self._files.values():
                file.close()


def _copy(file: IO[bytes], to: IO[bytes], kind: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """An array's bytes behind its header."""
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(to, header)
    file.seek(0)
    shutil.copyfileobj(file, to, 1 << 20)


class _Npy(_Npz):
    """The classes alone, or what a network of numbers gives."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        name = "y" if self._network.classifies else "scores"
        try:
            if error is None:
                with self._path.open("wb") as whole:
                    _copy(self._files[name], whole, self._kinds[name], self._shapes[name])
        finally:
            for file in self._files.values():
                file.close()


def _columns(network: ir.Network, scores: Array, y: Array) -> dict[str, Array]:
    """A part as columns."""
    if not network.classifies:
        flat = y.reshape(len(y), -1)
        return {f"score_{i}": flat[:, i] for i in range(flat.shape[1])}
    columns: dict[str, Array] = {"class": y}
    if network.class_names:
        columns["name"] = np.array(network.class_names, object)[y]
    flat = scores.reshape(len(scores), -1)
    return columns | {f"score_{i}": flat[:, i] for i in range(flat.shape[1])}


class _Csv:
    """A table as text."""

    def __init__(self, path: Path, network: ir.Network) -> None:
        self._path, self._network, self._begun = path, network, False

    def __enter__(self) -> _Csv:
        self._file = self._path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        return self

    def add(self, codes: Array, scores: Array, y: Array) -> None:
        """Write a line for each sample."""
        columns = _columns(self._network, scores, y)
        if not self._begun:
            self._writer.writerow(columns)
            self._begun = True
        self._writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class _Parquet:
    """A table in Parquet, a row group a part."""

    def __init__(self, path: Path, network: ir.Network) -> None:
        self._path, self._network = path, network
        self._writer: Any = None
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise toolchain.missing("pyarrow") from None
        self._arrow, self._parquet = pyarrow, parquet

    def __enter__(self) -> _Parquet:
        return self

    def add(self, codes: Array, scores: Array, y: Array) -> None:
        """Write a row group."""
        table = self._arrow.table(_columns(self._network, scores, y))
        self._writer = self._writer or self._parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
