"""Paths of the shipped files that another program reads: Verilog, benches, kernels, boards; and which kernels are used.

Real paths, because yosys and Verilator need them; an import from a zip file is therefore out of scope.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from pathlib import Path
from types import ModuleType

from dwn_hw.errors import OptionError, Problem

#: The environment variable that asks for one form of all computation, and what it may say.
VARIABLE, FORMS = "DWN_HW_KERNELS", ("numpy", "torch", "numba", "triton")

_LOADING = threading.Lock()

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


def asked_kernels() -> str | None:
    """What :data:`VARIABLE` asks for, or None. Raises OptionError for what is no form, or is not installed."""
    said = os.environ.get(VARIABLE) or None
    if said not in (None, *FORMS):
        raise OptionError(Problem(VARIABLE, f"one of {', '.join(FORMS)}", repr(said), "Unset it, or name one."))
    if said == "numba" and importlib.util.find_spec("numba") is None:
        raise OptionError(Problem(VARIABLE, "numba to be installed", "none", "pip install 'dwn-hw[fast]'"))
    return said


def takes_numba() -> bool:
    """Whether kernels of numba's may be used: it is installed, and nothing else is asked for."""
    return asked_kernels() in (None, "numba") and importlib.util.find_spec("numba") is not None


def is_compiled(module: ModuleType, name: str) -> bool:
    """Whether numba keeps a kernel's function compiled for this machine, as far as can be told without compiling it."""
    folder = getattr(getattr(getattr(module, name), "_cache", None), "cache_path", None)
    if folder is None or module.__file__ is None:
        return False
    source = Path(module.__file__)
    made = source.stat().st_mtime
    return any(path.stat().st_mtime >= made for path in Path(folder).glob(f"{source.stem}.{name}-*.nbc"))


def kernel(name: str) -> ModuleType:
    """A file in ``kernels/``, which a compiler reads through Python, as a module."""
    path = asset("kernels", name)
    full = f"dwn_hw_kernels_{path.stem}"
    with _LOADING:  # threads may ask for one at the same time, and must not see half of it
        if full not in sys.modules:
            spec = importlib.util.spec_from_file_location(full, path)
            assert spec is not None
            assert spec.loader is not None
            sys.modules[full] = made = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(made)
    return sys.modules[full]
