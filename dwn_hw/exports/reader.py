"""An export directory read back: its network, its interface, its Verilog, and the design that these describe."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

import numpy as np

from dwn_hw import _json, ir
from dwn_hw.errors import ExportError, Mismatch, OptionError, Problem, in_words
from dwn_hw.exports import interface_json, replacing, rtl_files
from dwn_hw.exports.derive_interface import describe
from dwn_hw.hardware import naming, sorting_networks
from dwn_hw.hardware.design import ParallelDesign, Pipeline, Stage
from dwn_hw.hardware.encoders import ENCODERS
from dwn_hw.hardware.families import TARGETS
from dwn_hw.hardware.folded import make_folded
from dwn_hw.hardware.interface import FoldedSettings, Interface, ParallelSettings
from dwn_hw.hardware.kinds import Design
from dwn_hw.hardware.register_placement import Registers
from dwn_hw.hardware.shell_facts import SHELLS
from dwn_hw.ir import evaluate, sample_files, serialize

#: What may have written an interface.
_TOOL = re.compile(r"dwn-hw \d+\.\d+\.[\w.+-]+", re.ASCII)


def read_design(interface: Interface, network: ir.Network) -> Design:
    """The design that an interface says, not lowered. Raises ValueError where it says none, and OptionError for a name that
    is none.
    """
    name = naming.check(interface.name)
    _check_values(interface)
    match interface.settings:
        case ParallelSettings() as said:
            pipeline = _read_pipeline(said, network)
            shell, target = interface.shell, interface.target
            share, encoder, sorters = said.shared_encoder, said.encoder, said.sorters or sorting_networks.SIZE
            scores = interface.with_scores
            return ParallelDesign(network, (), pipeline, shell, scores, target, share, encoder, name, sorters)
        case FoldedSettings(lanes=lanes):
            return make_folded(network, lanes=lanes, with_scores=interface.with_scores, name=name)
        case _:
            assert_never(interface.settings)


def _check_values(interface: Interface) -> None:
    """Raise ValueError for a version, a target, a shell or an encoder that there is not, or not with the others."""
    said, shell = interface.settings, SHELLS.get(interface.shell)
    faults = []
    if not _TOOL.fullmatch(interface.tool):
        faults.append(f"tool {interface.tool!r}, which is no version of dwn-hw")
    if interface.target not in TARGETS:
        faults.append(f"target {interface.target!r}, which is none of {', '.join(TARGETS)}")
    if shell is None or said.kind not in shell.kinds:
        faults.append(f"shell {interface.shell!r}, which {said.kind} hardware has not")
    elif isinstance(said, ParallelSettings):
        if said.encoder not in ENCODERS:
            faults.append(f"encoder {said.encoder!r}, which is none of {', '.join(ENCODERS)}")
        elif not shell.takes(said.encoder):
            faults.append(f"encoder {said.encoder!r}, which the shell {shell.name} cannot have")
        if said.sorters not in (None, *sorting_networks.CRITERIA):
            faults.append(f"sorters {said.sorters!r}, which are none of {', '.join(sorting_networks.CRITERIA)}")
    if faults:
        raise ValueError(", ".join(faults))


def _read_pipeline(said: ParallelSettings, network: ir.Network) -> Pipeline:
    names = network.names()
    if [(part.name, part.node) for part in said.parts] != [(name, name) for name in names]:
        raise ValueError(f"parts that are not {', '.join(names)}")
    return Pipeline(
        tuple(
            Stage(part.name, node, Registers(part.registers_inside, part.register_after))
            for node, part in enumerate(said.parts)
        )
    )


@dataclass(frozen=True, slots=True)
class Exported:
    """An export directory, read and checked once: its interface, the design that this describes, which is not lowered,
    Verilog, and what the Verilog reads into memories, by name, from the folder that a program runs in. The models of a
    target's cells are those that we ship (:func:`dwn_hw.hardware.families.model_files`): an export is not asked what its own do.
    """

    folder: Path
    interface: Interface
    design: Design
    sources: tuple[Path, ...]
    memories: tuple[Path, ...] = ()

    @property
    def network(self) -> ir.Network:
        """What it computes."""
        return self.design.network


def read_export(folder: Path, trust_edited: bool = False) -> Exported:
    """Read an export directory, or raise ExportError; also for Verilog that reaches outside it, unless its author is trusted."""
    remedy = "Give a directory that `dwn-hw export` wrote."
    if (folder / "export" / "interface.json").is_file():  # where the demo puts it
        remedy = f"Give {folder / 'export'}."
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise ExportError(Problem(str(folder), "an export directory", got, remedy))
    if not (folder / "network.safetensors").exists() and not replacing.is_decided(folder):
        raise ExportError(Problem(str(folder), "an export directory", "no network.safetensors", remedy))
    _check_links(folder)
    replacing.finish(folder)
    network = serialize.load(folder / "network.safetensors")
    interface, design = _read_interface(folder / "interface.json", network)
    top = f"{interface.top}.v"
    if not (folder / "rtl" / top).is_file():
        raise ExportError(Problem(str(folder / "rtl"), "the Verilog of the export", f"no {top}", remedy))
    files = rtl_files.listed(folder / "rtl", interface.name)
    if not trust_edited:
        rtl_files.check_harmless(files)
    sources = tuple(path for path in files if path.suffix == ".v")
    memories = tuple(path for path in files if path.suffix == ".hex")
    return Exported(folder, interface, design, sources, memories)


def _check_links(folder: Path) -> None:
    """Raise ExportError for a link in an export, through which a command would write, or read, somewhere else."""
    inside = [path for path in (*folder.glob("*"), *folder.glob("*/*")) if path.is_symlink()]
    if inside:
        problem = Problem(
            str(inside[0]), "a file or a folder of the export", "a link", "Put what it leads to in its place."
        )
        raise ExportError(problem)


def _read_interface(path: Path, network: ir.Network) -> tuple[Interface, Design]:
    """``interface.json``, which must say what this network, with its registers and its shell, has as interface; and its
    design.
    """
    try:
        found = interface_json.from_json(_json.parse(path.read_text("utf-8")))
        digest = serialize.digest(network)
        if found.digest != digest:
            raise ValueError(f"digest {found.digest}, while the network has {digest}")
        design = read_design(found, network)
        # An export of another version is read as well, as long as all else is the same.
        wanted = interface_json.to_json(replace(describe(design), tool=found.tool))
        other = sorted(key for key, value in interface_json.to_json(found).items() if wanted.get(key) != value)
        if other:
            raise ValueError(f"another {', '.join(other)}")
    except OptionError as error:
        said = [
            f"{problem.thing.removeprefix('--')} {problem.got} (wanted: {problem.rule})" for problem in error.problems
        ]
        raise _not_its_interface(path, ", ".join(said)) from None
    except (OSError, ValueError) as error:
        raise _not_its_interface(path, in_words(error)) from None
    return found, design


def _not_its_interface(path: Path, got: str) -> ExportError:
    return ExportError(Problem(str(path), "the interface of this network", got, "Export the model again."))


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
