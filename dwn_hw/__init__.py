"""dwn-hw: from a trained multiplication-free network to Verilog that is proven equal to it.

The public API. Names are resolved when they are first used, so that ``import dwn_hw`` is quick and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dwn_hw._version import __version__ as __version__

if TYPE_CHECKING:
    from dwn_hw.api import (
        Board,
        boards,
        build,
        check,
        compare,
        doctor,
        explain,
        export,
        fit,
        freeze,
        load,
        predict,
        program,
        prove,
        report,
        run,
        save,
        synth,
        verify,
    )
    from dwn_hw.errors import DwnHwError, InputError, Mismatch, ToolError, Undecided
    from dwn_hw.exports.options import Options
    from dwn_hw.studies.fit_board import fit_board
    from dwn_hw.studies.sweeping import sweep

_HOME = {
    "Board": "api",
    "DwnHwError": "errors",
    "InputError": "errors",
    "Mismatch": "errors",
    "Options": "exports.options",
    "ToolError": "errors",
    "Undecided": "errors",
    "boards": "api",
    "build": "api",
    "check": "api",
    "compare": "api",
    "doctor": "api",
    "explain": "api",
    "export": "api",
    "fit": "api",
    "fit_board": "studies.fit_board",
    "freeze": "api",
    "load": "api",
    "predict": "api",
    "program": "api",
    "prove": "api",
    "report": "api",
    "run": "api",
    "save": "api",
    "sweep": "studies.sweeping",
    "synth": "api",
    "verify": "api",
}

__all__ = [
    "Board",
    "DwnHwError",
    "InputError",
    "Mismatch",
    "Options",
    "ToolError",
    "Undecided",
    "boards",
    "build",
    "check",
    "compare",
    "doctor",
    "explain",
    "export",
    "fit",
    "fit_board",
    "freeze",
    "load",
    "predict",
    "program",
    "prove",
    "report",
    "run",
    "save",
    "sweep",
    "synth",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dwn_hw' has no attribute {name!r}")
    return getattr(import_module(f"dwn_hw.{_HOME[name]}"), name)
