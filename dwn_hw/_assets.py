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

#: The extra that brings each form that is not always there.
_EXTRAS = {"numba": "fast", "triton": "gpu"}

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
    if said in _EXTRAS and importlib.util.find_spec(said) is None:
        raise OptionError(
            Problem(VARIABLE, f"{said} to be installed", "none", f"pip install 'dwn-hw[{_EXTRAS[said]}]'")
        )
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


def takes_triton(device: str) -> bool:
    """Whether kernels of Triton's are used on a device, ``"cuda"`` or another: on a GPU where it is installed, unless another
    form is asked for. Raises OptionError where it is asked for and cannot run: without a GPU it has an interpreter only.
    """
    asked = asked_kernels()
    if asked == "triton" and device != "cuda" and not interprets_triton():
        remedy = "Unset it, or use a machine with a GPU; TRITON_INTERPRET=1 runs kernels on a CPU, slowly, for tests."
        raise OptionError(Problem(VARIABLE, "triton on tensors of a GPU", f"triton on a {device}", remedy))
    wanted = asked == "triton" or (asked is None and device == "cuda")
    return wanted and importlib.util.find_spec("triton") is not None


def interprets_triton() -> bool:
    """Whether Triton runs kernels by its interpreter, on a CPU."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on")


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
