"""What others published of networks on the same tasks, to stand beside exports. Only rows of one data set are comparable,
and counts of different tools are not quite: the sources say what was counted how.
"""

from __future__ import annotations

from dataclasses import dataclass

from dwn_hw import ir


@dataclass(frozen=True, slots=True)
class Published:
    """A row of a paper: ``accuracy`` in percent at so many LUTs."""

    source: str
    accuracy: float
    lut: int


_WITH = "Mecik & Kumm 2025, with encoder, Vivado"
_WITHOUT = "DWN paper, without encoder, Vivado"
_OPEN = "open re-implementation, with encoder, Artix-7"
_SMALL = "DWN, n=4, z=3, iCE40, LUT4"

#: By data set.
ROWS: dict[str, tuple[Published, ...]] = {
    "jsc": (
        *(Published(_WITH, *row) for row in ((71.2, 64), (74.0, 311), (75.6, 1697), (76.3, 7011))),
        *(Published(_WITHOUT, *row) for row in ((71.1, 20), (74.0, 110), (75.6, 720), (76.3, 4972))),
        Published(_OPEN, 73.84, 1619),
        *(Published("TreeLUT", 75.0, 796), Published("NeuraLUT-Assemble", 76.0, 1780), Published("KANELE", 76.0, 1232)),
    ),
    "mnist": (
        *(Published(_WITHOUT, *row) for row in ((97.1, 692), (97.9, 1413), (98.3, 4082))),
        *(Published(_OPEN, *row) for row in ((96.77, 1597), (97.70, 2246), (98.26, 6294))),
        *(Published(_SMALL, *row) for row in ((93.70, 1561), (95.87, 2161), (97.47, 4102))),
        *(Published("TreeLUT", 96.6, 4478), Published("NeuraLUT-Assemble", 97.9, 5070)),
    ),
}

#: (features, classes) of each data set, by which a network of it may be known.
_SIZES = {(16, 5): "jsc", (784, 10): "mnist"}


def data_set(networks: list[ir.Network]) -> str | None:
    """The data set that all networks may be of, by their sizes."""
    found = {_SIZES.get((network.input.edge.size, network.classes)) for network in networks}
    return found.pop() if len(found) == 1 else None
