"""An export directory read back: its network, its interface, its Verilog, and the design that these describe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dwn_hw import _json, ir
from dwn_hw.errors import ExportError, Mismatch, OptionError, Problem, in_words
from dwn_hw.exports import interface
from dwn_hw.hardware import naming
from dwn_hw.hardware.design import SHELLS, Design, ParallelDesign, Pipeline, Stage
from dwn_hw.hardware.families import FAMILIES, TARGETS
from dwn_hw.hardware.feature_schedule import ENCODERS
from dwn_hw.hardware.folded import make_folded
from dwn_hw.hardware.lowering import lower_network
from dwn_hw.hardware.pipelining import Registers
from dwn_hw.ir import evaluate, sample_files, serialize


def read_pipeline(interface: dict[str, Any], network: ir.Network) -> Pipeline:
    """The pipeline that an interface says. Raises KeyError, TypeError or ValueError where it says none."""
    names = network.names()
    for key in ("name", "node"):
        if [part[key] for part in interface["parts"]] != list(names):
            raise ValueError(f"parts that are not {', '.join(names)}")
    return Pipeline(
        tuple(
            Stage(part["name"], node, Registers(tuple(part["registers_inside"]), part["register_after"]))
            for node, part in enumerate(interface["parts"])
        )
    )


def read_design(interface: dict[str, Any], network: ir.Network, lowered: bool = False) -> Design:
    """The design that an interface says; ``lowered``: with its LUTs, if it has any. Raises as :func:`read_pipeline`, and
    OptionError for a name that is none.
    """
    name = naming.check(interface["name"])
    shell, with_scores = interface["shell"], len(interface["output"]["fields"]) > 1
    match interface["kind"]:
        case "parallel":
            share, encoder, target = (interface[name] for name in ("shared_encoder", "encoder", "target"))
            known = shell in SHELLS and target in TARGETS and encoder in ENCODERS and isinstance(share, bool)
            if not known or (encoder, shell) == ("streamed", "none"):
                raise ValueError(
                    f"no design of shell {shell}, target {target}, encoder {encoder}, shared_encoder {share}"
                )
            netlists = lower_network(network, FAMILIES[target], share, encoder) if lowered else ()
            pipeline = read_pipeline(interface, network)
            return ParallelDesign(network, netlists, pipeline, shell, with_scores, target, share, encoder, name)
        case "folded":
            if (shell, interface["target"]) != ("stream", "generic"):
                raise ValueError(f"no folded engine of shell {shell}, target {interface['target']}")
            return make_folded(network, lanes=interface["lanes"], with_scores=with_scores, name=name)
        case kind:
            raise ValueError(f"no kind of hardware is called {kind!r}")


@dataclass(frozen=True, slots=True)
class Exported:
    """An export directory, read back: network, interface, Verilog, the models of target cells for simulation, and what the
    Verilog reads into memories, by name, from the folder that a program runs in.
    """

    folder: Path
    network: ir.Network
    interface: dict[str, Any]
    sources: tuple[Path, ...]
    models: tuple[Path, ...]
    memories: tuple[Path, ...] = ()


def read_export(folder: Path) -> Exported:
    """Read an export directory, or raise ExportError."""
    remedy = "Give a directory that `dwn-hw export` wrote."
    if (folder / "export" / "interface.json").is_file():  # where the demo puts it
        remedy = f"Give {folder / 'export'}."
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise ExportError(Problem(str(folder), "an export directory", got, remedy))
    if not (folder / "network.safetensors").exists():
        raise ExportError(Problem(str(folder), "an export directory", "no network.safetensors", remedy))
    network = serialize.load(folder / "network.safetensors")
    described = _read_interface(folder / "interface.json", network)
    sources = tuple(sorted((folder / "rtl").glob("*.v")))
    top = f"{described['top']}.v"
    if folder / "rtl" / top not in sources:
        raise ExportError(Problem(str(folder / "rtl"), "the Verilog of the export", f"no {top}", remedy))
    models = tuple(sorted((folder / "sim").glob("*.v")))
    memories = tuple(sorted((folder / "rtl").glob("*.hex")))
    return Exported(folder, network, described, sources, models, memories)


def _read_interface(path: Path, network: ir.Network) -> dict[str, Any]:
    """``interface.json``, which must say what this network, with its registers and its shell, has as interface."""
    remedy = "Export the model again."
    try:
        found: dict[str, Any] = _json.parse(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object of JSON")
        digest = found["digest"]
        # An interface says nothing of what is inside, so no netlists are needed.
        wanted = interface.describe(read_design(found, network))
    except (OSError, ValueError, KeyError, TypeError, OptionError) as error:
        raise ExportError(Problem(str(path), "the interface of this network", in_words(error), remedy)) from None
    other = sorted(key for key in wanted if key != "tool" and found.get(key) != wanted[key])
    if other:
        got = f"digest {digest}, while the network has {wanted['digest']}" if digest != wanted["digest"] else ""
        got = got or f"another {', '.join(other)}"
        raise ExportError(Problem(str(path), "the interface of this network", got, remedy))
    return found


def check_golden(exported: Exported) -> int:
    """How many vectors recorded in the export give what the network gives; none where the file is gone.

    Raises Mismatch with the first that does not, and DataError for a damaged file.
    """
    path, network = exported.folder / "vectors" / "golden.npz", exported.network
    if not path.is_file():
        return 0
    codes = sample_files.to_codes(sample_files.load(path), network).codes
    *_, before, last = evaluate.trace(network, codes)
    given = {"scores": before, "y": last} if network.classifies else {"scores": last}
    with np.load(path) as file:
        for name, wanted in given.items():
            if name not in file or not np.array_equal(file[name], wanted):
                raise Mismatch(f"{path}: its {name} are not what the network gives for its codes; export again")
    return len(codes)


def parallel(exported: Exported) -> ParallelDesign:
    """The design of an export of parallel hardware, which the bench can follow from clock to clock. Raises OptionError."""
    design = read_design(exported.interface, exported.network)
    if not isinstance(design, ParallelDesign):
        remedy = "Leave --level out: verify then compares every number of every layer of the Verilog."
        raise OptionError(Problem("--level netlist", "an export of parallel hardware", design.kind, remedy))
    return design
