"""Paths of the shipped files that another program reads: Verilog, benches, kernels, boards.

Real paths, because yosys and Verilator need them; an import from a zip file is therefore out of scope.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

#: Decided once: a checkout is recognised by its ``pyproject.toml``; else the wheel's copy is meant.
ROOT = _PACKAGE.parent if (_PACKAGE.parent / "pyproject.toml").is_file() else _PACKAGE / "_shared"


def asset(kind: str, name: str) -> Path:
    """Path of one shipped file, say ``asset("rtl_templates", "dwn_lut.v")``. FileNotFoundError lists what there is."""
    path = ROOT / kind / name
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in (ROOT / kind).glob("*"))) or "none"
        raise FileNotFoundError(f"no {kind} file named {name!r}; known: {known}")
    return path
