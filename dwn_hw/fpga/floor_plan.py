"""Where the cells of each part lie on a chip: read from what nextpnr writes, and kept of a build as counts by tile."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dwn_hw._json import Document

#: What nextpnr is told to write the placed design to, and what is kept of that.
PLACED, KEPT = "placed.json", "placement.json"

#: Where the design of the export stands in the whole one; what is beside it is the shell's.
CORE = ("uart", "core", "core")

#: A site as nextpnr calls it: ``X12/Y3/lc4``, or ``X12Y3/LUT0``.
_SITE = re.compile(r"X(\d+)/?Y(\d+)")

#: What the modules of a part between its registers are called behind its name.
_SECTION = re.compile(r"_s\d+$")


def unit(cell: str) -> str:
    """The part whose cell it is; ``shell`` for what is around the parts."""
    parts = cell.split(".")
    inside = len(parts) > len(CORE) + 1 and tuple(parts[: len(CORE)]) == CORE
    return parts[len(CORE)] if inside else "shell"


def written_by(command: Sequence[str]) -> str:
    """What a command line of nextpnr, to which ``--write`` is added where it has none, writes the placed design to."""
    return command[command.index("--write") + 1] if "--write" in command else PLACED


def read(placed: Path) -> Document:
    """How many cells of which part lie in each tile, from the file that nextpnr wrote."""
    modules = json.loads(placed.read_text("utf-8"))["modules"]
    tiles = Counter[tuple[int, int, str]]()
    for module in modules.values():
        for name, cell in module["cells"].items():
            if site := _SITE.match(cell.get("attributes", {}).get("NEXTPNR_BEL", "")):
                part = _SECTION.sub("", unit(name))
                tiles[int(site[1]), int(site[2]), part] += 1
    return {"cells": [{"x": x, "y": y, "part": part, "count": n} for (x, y, part), n in sorted(tiles.items())]}
