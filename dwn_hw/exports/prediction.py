"""Predictions of an export on samples: bit-exact emulation, part by part, and what happened to the data on the way in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from dwn_hw import _assets, ir, toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, counted, silent
from dwn_hw.errors import DataError
from dwn_hw.exports.prediction_file import Kept, Sink
from dwn_hw.ir import emulate_compiled, evaluate, sample_files, sample_warnings
from dwn_hw.ir.codes import Encoded
from dwn_hw.ir.emulate import Emulator
from dwn_hw.ir.sample_stream import Stream

#: (codes, scores, y): what came in, what the last node received, and what it gave.
Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def predict(
    network: ir.Network, samples: sample_files.Samples, strict: bool = False, progress: Progress = silent
) -> tuple[Document, Arrays]:
    """What was found, as plain values, and the arrays. Raises DataError; if ``strict``, also of samples in likely other units."""
    kept = Kept()
    stream = Stream.of(*sample_files.resolved(samples, network.table))
    report = predict_streams(network, [stream], kept, strict, progress)
    return report, kept.arrays()


def predict_streams(
    network: ir.Network, streams: Sequence[Stream], sink: Sink, strict: bool = False, progress: Progress = silent
) -> Document:
    """What was found of the samples of all ``streams``, one after the other; predictions go to ``sink`` as they come."""
    total = sum(stream.samples for stream in streams)
    run = _Run(network, _emulator(network, progress, total), sink, strict)
    tell = counted(progress, "predicting", total)
    labels = [_labels(network, stream) for stream in streams]  # known before the work
    for stream, own in zip(streams, labels, strict=True):
        run.stream(stream, own, tell)
    return run.report(streams)


def first_classes(network: ir.Network, y: Sequence[int] | npt.NDArray[np.int64]) -> Document:
    """For a report: the classes of the first samples, at most 20, and their names where the network knows names."""
    first = [int(one) for one in y[:20]]
    return {"classes": first} | ({"names": [network.class_names[i] for i in first]} if network.class_names else {})


class _Emulates(Protocol):
    """What gives scores and classes of codes."""

    def run(self, codes: npt.NDArray[Any], progress: Callable[[int], None]) -> tuple[evaluate.Codes, evaluate.Codes]:
        """What flows into the last node, and out of it."""


def _emulator(network: ir.Network, progress: Progress, samples: int) -> _Emulates:
    """The emulator; on a GPU where that is asked for: to look for one alone takes torch, and seconds."""
    if _assets.asked_kernels() != "triton" or not emulate_compiled.fits(network):
        return Emulator(network, progress, samples)
    try:
        from dwn_hw.frontend.emulate_triton import TritonEmulator
    except ModuleNotFoundError:
        raise toolchain.missing("torch") from None
    return TritonEmulator(network)


#: The classes of all samples as indices, or None.
Labels: TypeAlias = npt.NDArray[np.int64] | None


def _labels(network: ir.Network, stream: Stream) -> Labels:
    if stream.y is None or not network.classifies:
        return None
    found, problems = sample_files.class_indices(
        stream.y, stream.samples, network.classes, network.class_names, stream.name
    )
    if found is None:
        raise DataError(*problems)
    return found


class _Run:
    """Predictions so far, as counts."""

    def __init__(self, network: ir.Network, emulator: _Emulates, sink: Sink, strict: bool) -> None:
        self._network, self._emulator, self._sink, self._strict = network, emulator, sink, strict
        self._done = self._rounded = self._saturated = 0
        self._seconds = 0.0
        self._first: list[int] = []
        self._right: list[int | None] = []
        self._warnings: list[str] = []

    def stream(self, stream: Stream, labels: Labels, tell: Callable[[int], None]) -> None:
        """Predict all samples of a stream."""
        right = 0
        for first, part in stream.parts():
            encoded = self._encoded(part, first)
            started = time.perf_counter()
            scores, y = self._emulator.run(encoded.codes, self._telling(tell))
            self._seconds += time.perf_counter() - started
            self._done, self._rounded = self._done + len(y), self._rounded + encoded.rounded
            self._saturated += encoded.saturated
            if self._network.classifies:
                self._first += y[: 20 - len(self._first)].tolist()
                right += 0 if labels is None else int((labels[first : first + len(y)] == y).sum())
            self._sink.add(encoded.codes, scores, y)
        self._right.append(None if labels is None else right)
        if labels is not None:
            self._warnings += sample_warnings.near_chance(self._network, right / len(labels), len(labels))

    def _telling(self, tell: Callable[[int], None]) -> Callable[[int], None]:
        """Tell of all samples, when told of those of a part."""
        before = self._done
        return lambda count: tell(before + count)

    def _encoded(self, part: sample_files.Samples, first: int) -> Encoded:
        """The codes of a part; the first part of a stream tells of units."""
        try:
            encoded = sample_files.to_codes(part, self._network)
        except DataError as error:
            if not first:
                raise
            where = f"{part.name}, counted from its sample {first:,}"
            raise DataError(*(replace(problem, thing=where) for problem in error.problems)) from None
        if not first:
            warnings = sample_warnings.of_samples(self._network, part, encoded)
            if self._strict:
                sample_warnings.refuse(warnings, part.name)
            self._warnings += warnings
        return encoded

    def report(self, streams: Sequence[Stream]) -> Document:
        """What was found, as plain values."""
        moved = Encoded(np.empty((0, 0), np.int64), self._rounded, self._saturated)
        report: dict[str, Any] = {
            "samples": self._done,
            **sample_warnings.moved(self._network, moved),
            "samples_per_second": round(self._done / self._seconds),
        }
        known = [(right, stream) for right, stream in zip(self._right, streams, strict=True) if right is not None]
        if known:
            report["accuracy"] = round(sum(right for right, _ in known) / sum(s.samples for _, s in known), 6)
        if len(streams) > 1:
            report["files"] = [
                {"name": stream.name, "samples": stream.samples}
                | ({} if right is None else {"accuracy": round(right / stream.samples, 6)})
                for right, stream in zip(self._right, streams, strict=True)
            ]
        if self._network.classifies:
            report |= first_classes(self._network, self._first)
        tables = [(stream.told, f"{stream.name}: " if len(streams) > 1 else "") for stream in streams]
        self._warnings += [f"{name}{text}" for told, name in tables for text in told.warnings()]
        report["notes"] = [f"{name}{text}" for told, name in tables for text in told.notes()]
        report["warnings"] = self._warnings
        if self._strict:
            sample_warnings.refuse(self._warnings, streams[0].name)
        return report
