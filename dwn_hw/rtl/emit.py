"""Writes the Verilog of a design of any kind."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import assert_never

from dwn_hw.hardware.design import ParallelDesign
from dwn_hw.hardware.folded import FoldedDesign
from dwn_hw.hardware.kinds import Design
from dwn_hw.hardware.naming import renamed
from dwn_hw.rtl.engine.engine_verilog import engine_to_verilog
from dwn_hw.rtl.parallel_verilog import parallel_to_verilog


def to_verilog(design: Design, header: str = "") -> dict[str, str]:
    """Write a whole design in Verilog-2005, file name → text, one module a file; the top module is ``dwn_top``, where
    the design has no other name.

    ``header`` is put before the top module, each line as a comment. A portable design includes the modules that it
    instantiates; for another target :func:`dwn_hw.rtl.models` are what a simulator needs beside it.
    """
    with _collecting_later():
        match design:
            case ParallelDesign():
                files = parallel_to_verilog(design, header)
            case FoldedDesign():
                files = engine_to_verilog(design, header)
            case _:
                assert_never(design)
    return renamed(files, design.name)


@contextlib.contextmanager
def _collecting_later() -> Iterator[None]:
    """Collect no garbage for a while. Amaranth makes millions of objects, all of which live until the text is there: looking
    for dead cycles among them takes as long as all the rest.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
