"""From a model to an export directory: freeze, check against torch, emit, describe.

An export directory stands on its own: ``network.safetensors``, ``rtl/*.v``, ``interface.json`` and ``INTERFACE.md``,
``vectors/``, ``report.json``, and what is handed over with it (:mod:`dwn_hw.exports.handover`). It is written beside its
place and moved there when it is whole; over an older one, with a list of what is moved, so that whatever ends the
process, the next one finds the old export or finishes the new one (:mod:`dwn_hw.exports.replacing`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwn_hw import ir, rtl
from dwn_hw._json import Document
from dwn_hw._progress import Progress, ahead
from dwn_hw.errors import ExportError, Problem
from dwn_hw.exports import c_host, interface_json, interface_text, replacing, verilog_checksums
from dwn_hw.exports.derive_interface import describe
from dwn_hw.exports.handover import constraints, files
from dwn_hw.exports.options import Options
from dwn_hw.exports.planning import ExportPlan, plan
from dwn_hw.frontend.integer_networks.trained_network import LiveModel
from dwn_hw.frontend.trained_dwn import TrainedDwn
from dwn_hw.hardware import port_packing
from dwn_hw.ir import packing, sample_files, serialize, vectors
from dwn_hw.ir.emulate import Emulator

#: What other commands, and in ``run`` the simulators of the testbench, add to an export directory: derived from its Verilog, and
#: kept for as long as that is the same.
DERIVED = ("verify", "prove", "synth", "virtual", "build", "run")

#: What an export directory may hold; one that holds anything else is not overwritten.
CONTENT = (
    *(
        "network.safetensors",
        "frozen.safetensors",
        "rtl",
        "sim",
        "interface.json",
        "INTERFACE.md",
        "FEATURES.md",
        "vectors",
        "report.json",
    ),
    *("host", verilog_checksums.SUMS),
    *files.WRITTEN,
    *DERIVED,
)
#: Samples of the user's data kept in ``vectors/golden.npz``.
GOLDEN_SAMPLES = 256


def export(
    model: TrainedDwn | LiveModel,
    out: Path,
    options: Options | None = None,
    samples: sample_files.Samples | None = None,
    progress: Progress = lambda text: None,
    command: Sequence[str] = (),
) -> Document:
    """Write the export directory ``out`` and return its report; in ``removed``, what :func:`write` removed, if anything.

    ``command``: what was typed to make it, kept in the report; without the directory, which may move.
    """
    check_out(out)
    ahead(progress, 2)
    decided = plan(model, options or Options(), samples, progress)
    if command:
        decided.report["command"] = list(command)
    removed = write(decided, out, progress)
    return decided.report | ({"removed": removed} if removed else {})


def write(decided: ExportPlan, out: Path, progress: Progress = lambda text: None) -> list[str]:
    """Write what was planned to ``out``, whole or not at all.

    An earlier export's bitstreams and projects stay if the Verilog is the same; else they are removed, and named.
    """
    design, network = decided.design, decided.design.network
    interface = describe(design)
    progress("writing Verilog")
    sources = rtl.to_verilog(design, header=interface_text.to_header(interface, network)) | rtl.wrap(interface)
    progress("computing golden vectors")
    golden = _golden(network, decided.codes, decided.seed)
    with _written_whole(out) as folder:
        serialize.save(network, folder / "network.safetensors")
        if decided.frozen not in (None, network):
            serialize.save(decided.frozen, folder / "frozen.safetensors")
        (folder / "rtl").mkdir()
        for name, text in sources.items():
            (folder / "rtl" / name).write_text(text, "utf-8")
        verilog_checksums.write(folder / "rtl")
        if design.target != "generic":
            (folder / "sim").mkdir()
            for name, text in rtl.models(design.target).items():
                (folder / "sim" / name).write_text(text, "utf-8")
        (folder / "interface.json").write_text(_json(interface_json.to_json(interface)), "utf-8")
        (folder / "INTERFACE.md").write_text(interface_text.to_markdown(interface), "utf-8")
        (folder / "FEATURES.md").write_text(interface_text.features(interface), "utf-8")
        if interface.has_streams:
            (folder / "host").mkdir()
            (folder / "host" / f"{design.name}_host.h").write_text(c_host.header(interface), "utf-8")
        (folder / "vectors").mkdir()
        scores, y = Emulator(network).run(golden)
        sample_files.save_predictions(folder / "vectors" / "golden.npz", network, golden, scores, y)
        ports = {"x": port_packing.pack_input(golden, design), "y": port_packing.pack_output((scores, y), design)}
        for name, bits in ports.items():
            (folder / "vectors" / f"{name}.hex").write_text(packing.to_hex(bits), encoding="utf-8")
        files.write(interface, folder, len(golden), constraints.clock(decided.report.get("clock_mhz")))
        (folder / "report.json").write_text(_json(decided.report), "utf-8")
        verilog_checksums.write(folder)
        stale = [] if _same_verilog(out, folder) else sorted(path.name for path in (out / "build").glob("[!.]*"))
    return [f"build/{name}" for name in stale]


def _same_verilog(one: Path, other: Path) -> bool:
    paths = [folder / "rtl" / verilog_checksums.SUMS for folder in (one, other)]
    return paths[0].is_file() and paths[0].read_bytes() == paths[1].read_bytes()


def check_out(out: Path) -> None:
    """Raise ExportError unless ``out`` may be written: absent, empty, or an earlier export with nothing else in it."""
    check_place(out)
    if not out.exists():
        return
    replacing.finish(out)
    names = sorted(path.name for path in out.iterdir() if path.name != replacing.PARTIAL)
    strange = [name for name in names if name not in CONTENT]
    if strange or (names and not (out / "interface.json").is_file()):
        got = ", ".join(strange[:5]) or "no interface.json"
        raise ExportError(
            Problem(str(out), "absent, empty, or an earlier export", f"other content ({got})", "Choose another -o.")
        )
    if own := _users_own(out):
        rule, remedy = "an earlier export as it was written", "Move them elsewhere, or choose another -o."
        raise ExportError(Problem(str(out), rule, ", ".join(own[:5]), remedy))


#: What an export writes beside its Verilog, for one that was written without checksums of all its files.
_WRITTEN = {"sim": ("*_cells.v",), "host": ("*_host.h",), "vectors": ("golden.npz", "x.hex", "y.hex")}


def _users_own(out: Path) -> list[str]:
    """Files below an export that somebody edited or added, where the next one would remove them."""
    try:
        if (out / verilog_checksums.SUMS).is_file():
            beside = (*DERIVED, replacing.PARTIAL)
            return [f"{name} ({how})" for name, how in verilog_checksums.added(out, beside).items()]
        found = [f"rtl/{name} ({how})" for name, how in verilog_checksums.added(out / "rtl").items()]
    except (OSError, ValueError):
        found = []
    for folder, patterns in _WRITTEN.items():
        paths = sorted((out / folder).iterdir()) if (out / folder).is_dir() else []
        found += [f"{folder}/{path.name} (new)" for path in paths if not any(map(path.match, patterns))]
    return found


def check_place(out: Path) -> None:
    """Raise ExportError unless ``out`` is a directory, or could be made one: known before the work, not after it."""
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir():
        got = "a file" if nearest == out else f"{nearest}, which is a file"
        raise ExportError(Problem(str(out), "a directory to write", got, "Choose another -o."))
    if not os.access(nearest, os.W_OK | os.X_OK):
        got = f"no permission to write in {nearest}"
        raise ExportError(Problem(str(out), "a directory to write", got, "Choose another -o."))


@contextlib.contextmanager
def _written_whole(out: Path) -> Iterator[Path]:
    """A folder to write in, whose content becomes that of ``out`` when everything went well."""
    exists = out.is_dir()
    # Inside a directory that is there: it may be the current one, or a mount point, which cannot be replaced.
    partial = out / replacing.PARTIAL if exists else out.with_name(f".{out.name}{replacing.PARTIAL}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if exists:
            kept = DERIVED if _same_verilog(out, partial) else ()
            replacing.replace(out, [name for name in CONTENT if name not in kept])
        else:
            partial.rename(out)
    except OSError as error:
        raise ExportError(Problem(str(out), "a writable place", f"{error.strerror}", "Choose another -o.")) from None
    finally:
        if not exists or not replacing.is_decided(out):
            shutil.rmtree(partial, ignore_errors=True)


def _golden(network: ir.Network, codes: npt.NDArray[np.int64] | None, seed: int) -> npt.NDArray[np.int64]:
    base = vectors.directed(network, seed)
    boundary = dict(base.kinds)["boundary"]
    step = max(1, boundary // GOLDEN_SAMPLES)
    start = dict(base.kinds)["zero"]
    blocks = [base.codes[:start], base.codes[start : start + boundary : step], base.codes[start + boundary :]]
    return np.concatenate([*blocks, *([] if codes is None else [codes[:GOLDEN_SAMPLES]])])


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
