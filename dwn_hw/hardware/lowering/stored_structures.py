"""Holds structures that a search found and no rule gives; ``benchmarks/search_structures.py`` is the search.

``stored.json`` holds them: for each its kind and shape, and its LUTs, each as its inputs' nets and its table in hexadecimal.
Cells have at most :data:`LUT_INPUTS` inputs. tests/hardware/test_stored_structures.py proves each equal to what it stands for.

==========  =======================  =========================  ===========================
kind        shape                    inputs                     outputs
==========  =======================  =========================  ===========================
``count``   bits                     bits                       their sum, LSB first
``argmax``  entries, bits of each    entries, each LSB first    index of the first maximum
==========  =======================  =========================  ===========================

An argmax of a larger shape serves a smaller one: entries that are constantly zero never win, and
:class:`~dwn_hw.hardware.lut_netlist.LutBuilder` folds constants.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dwn_hw.hardware.lut_netlist import Lut, LutBuilder, LutNetlist
from dwn_hw.ir import Ints

LUT_INPUTS = 6

FILE = Path(__file__).with_name("stored.json")


@dataclass(frozen=True, slots=True)
class Structure:
    """A netlist that is known to be ``kind`` for ``shape``."""

    kind: str
    shape: Ints
    netlist: LutNetlist


def structures(kind: str, k: int) -> tuple[Structure, ...]:
    """The stored structures of a kind whose LUTs have at most ``k`` inputs, in rising order of shape."""
    return tuple(each for each in load() if each.kind == kind) if k >= LUT_INPUTS else ()


@cache
def load() -> tuple[Structure, ...]:
    """All stored structures."""
    return read(FILE)


def read(file: Path) -> tuple[Structure, ...]:
    """The structures of a file as :func:`dump` writes it."""
    return tuple(
        Structure(entry["kind"], tuple(entry["shape"]), _netlist(entry)) for entry in json.loads(file.read_text())
    )


def _netlist(entry: dict[str, object]) -> LutNetlist:
    kind, inputs, luts, outputs = (entry[key] for key in ("kind", "inputs", "luts", "outputs"))
    assert isinstance(inputs, int)
    assert isinstance(luts, list)
    assert isinstance(outputs, list)
    cells = []
    for i, line in enumerate(luts):
        *nets, table = line.split()
        cells.append(Lut(f"{kind}_n{i:03}", tuple(map(int, nets)), int(table, 16)))
    return LutNetlist(inputs, tuple(cells), tuple(outputs))


def dump(stored: Sequence[Structure]) -> str:
    """The text of a file that :func:`read` takes."""
    entries = []
    for each in sorted(stored, key=lambda each: (each.kind, each.shape)):
        luts = [" ".join([*map(str, cell.inputs), f"{cell.table:x}"]) for cell in each.netlist.cells]
        head = {"kind": each.kind, "shape": each.shape, "inputs": each.netlist.inputs}
        entries.append({**head, "luts": luts, "outputs": each.netlist.outputs})
    return json.dumps(entries, indent=1) + "\n"


def place(builder: LutBuilder, netlist: LutNetlist, inputs: Sequence[int], prefix: str = "") -> list[int]:
    """Build a netlist's cells on other nets. Returns its outputs there. ``prefix`` goes before the cells' names."""
    nets = list(inputs)
    for cell in netlist.cells:
        nets.append(builder.lut(f"{prefix}{cell.name}", [nets[net] for net in cell.inputs], cell.table))
    return [nets[net] if net >= 0 else net for net in netlist.outputs]
