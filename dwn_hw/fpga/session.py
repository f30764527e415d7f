"""An export on a board: samples through its serial line, compared where that is asked, and what happened as a report."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwn_hw import ir
from dwn_hw._json import Document
from dwn_hw._progress import Progress, within
from dwn_hw.errors import DataError, ExportError, Mismatch, OptionError, Problem
from dwn_hw.exports import prediction
from dwn_hw.exports.reader import Exported
from dwn_hw.fpga import sample_bytes, serial_host
from dwn_hw.hardware.serial_frames import Layout
from dwn_hw.ir import sample_files, sample_warnings
from dwn_hw.ir.emulate import Emulator

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a board gave for ``codes``: ``fields`` by name (``class`` or ``scores`` first), and ``clocks`` a sample."""

    codes: Ints
    fields: dict[str, Ints]
    clocks: Ints
    seconds: float


def check(exported: Exported) -> Layout:
    """The layout on the line. Raises ExportError for an export without streams."""
    if not exported.interface.has_streams:
        remedy = "Export with --shell stream."
        raise ExportError(Problem(str(exported.folder), "an export with streams", "one without", remedy))
    return exported.interface.layout


def run(
    exported: Exported, board: serial_host.BoardLink, codes: Ints, progress: Progress = lambda text: None
) -> Answers:
    """Codes (samples, features) through the board."""
    started = shown = time.monotonic()

    def tell(done: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown > 1:
            shown = now
            told = f"{done} of {len(codes)} samples, {done / (now - started):.0f} a second"
            within(progress, told, done, len(codes), aloud=told)

    results = board.run(sample_bytes.pack_samples(codes, exported.design), tell)
    seconds = time.monotonic() - started
    return Answers(codes, *sample_bytes.unpack_results(results, exported.design, exported.interface), seconds)


def expected(network: ir.Network, codes: Ints) -> dict[str, Ints]:
    """What the network gives, by the same names."""
    scores, last = Emulator(network).run(codes)
    return {"class": last, "scores": scores} if network.classifies else {"scores": last}


def compare(answers: Answers, wanted: dict[str, Ints], what: str, where: str) -> int:
    """How many values are equal, all of them; raises Mismatch with the first that is not. ``what`` the samples are."""
    count = 0
    for name, got in answers.fields.items():
        own = wanted[name].reshape(got.shape)
        different = np.argwhere(got != own)
        if len(different):
            sample, *unit = (int(i) for i in different[0])
            at = (sample, *unit)
            codes = answers.codes[sample].reshape(-1).tolist()
            shown = ", ".join(map(str, codes[:16])) + (", …" if len(codes) > 16 else "")
            place = f", {name} {unit[0]}" if len(unit) == 1 and got.shape[-1] > 1 else f", {name}"
            wrong = len(np.unique(different[:, 0]))
            raise Mismatch(
                f"{where} differs from the network: {what} {sample}{place}: expected {own[at]}, got {got[at]}\n"
                f"  codes {shown}\n  {wrong} of {len(got)} differ"
            )
        count += got.size
    return count


def golden(exported: Exported) -> tuple[Ints, dict[str, Ints]]:
    """The golden vectors of an export, and what they must give."""
    path = exported.folder / "vectors" / "golden.npz"
    codes = sample_files.to_codes(sample_files.load(path), exported.network).codes
    with np.load(path) as file:
        names = {"class": "y", "scores": "scores"}
        wanted = {name: file[key].astype(np.int64) for name, key in names.items() if key in file}
    given = expected(exported.network, codes[:1])
    if any(name not in wanted or wanted[name].shape[:1] != codes.shape[:1] for name in given):
        raise DataError(Problem(str(path), "golden vectors with their results", "none", "Export again."))
    return codes, wanted


def session(
    exported: Exported,
    board: serial_host.BoardLink,
    samples: sample_files.Samples | None,
    *,
    compared: bool = False,
    self_test: bool = False,
    strict: bool = False,
    progress: Progress = lambda text: None,
) -> tuple[Document, Answers | None]:
    """All that `dwn-hw run` does with a board: identity, self-test, samples, comparison; a report, and what was predicted."""
    if samples is None and not self_test:
        raise OptionError(Problem("run", "a file of samples, or --self-test", "neither", "Give one of them."))
    network = exported.network
    given_samples = sample_warnings.given(network, samples, strict)
    samples, encoded, warnings = given_samples.samples, given_samples.encoded, given_samples.warnings
    if samples is not None and network.classifies:
        samples = sample_files.labelled(samples, network.classes, network.class_names)
    progress("asking the board which network it holds")
    board.check()
    report: Document = {"digest": exported.interface.digest}
    where = f"the board on {shlex.quote(board.line.name)}"
    if self_test:
        codes, wanted = golden(exported)
        progress(f"self-test: {len(codes)} golden vectors")
        given = run(exported, board, codes, progress)
        report["self_test"] = {"vectors": len(codes), "values": compare(given, wanted, "golden vector", where)}
    answers = None
    if samples is not None and encoded is not None:
        progress(f"{len(samples)} samples")
        answers = run(exported, board, encoded.codes.astype(np.int64), progress)
        rate = round(len(samples) / answers.seconds, 1)
        report |= {"samples": len(samples), **sample_warnings.moved(network, encoded)}
        report |= {"samples_per_second": rate, "clocks": [int(answers.clocks.min()), int(answers.clocks.max())]}
        y = answers.fields.get("class", np.empty(0, np.int64)).reshape(-1)
        if y.size:
            report |= prediction.first_classes(network, y)
        if samples.y is not None and y.size:
            report["accuracy"] = round(float(np.mean(samples.y == y)), 6)
            warnings += sample_warnings.of_classes(network, samples.y, y)
        if compared:
            wanted = expected(exported.network, encoded.codes)
            report["equal_values"] = compare(answers, wanted, "sample", where)
    report |= {"notes": given_samples.notes, "warnings": warnings}
    report["line"] = serial_host.describe(board, board.statistics())
    return report, answers
