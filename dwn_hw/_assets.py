"""Paths of the shipped files that another program reads: Verilog, benches, kernels, boards.

Real paths, because yosys and Verilator need them; an import from a zip file is therefore out of scope.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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


def module(kind: str, name: str) -> ModuleType:
    """A shipped file that a compiler reads through Python, as a module: a kernel of numba's or Triton's."""
    path = asset(kind, name)
    full = f"dwn_hw_{kind}_{path.stem}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
    return sys.modules[full]
