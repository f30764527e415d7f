"""Finds the layers of a state_dict by the names of their arrays: which of them are one network, and in what order.

A name says where a layer stands (``model.layers.10.luts``), and not what ``forward`` does with it. The part before the
first number is the network's root. Layers below several roots are several networks, or one in an order that nobody can
know; both are refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from dwn_hw.frontend.module_state import Findings, array
from dwn_hw.frontend.pickles.standins import shown

_NUMBER = re.compile(r"\d+")

#: The remedy where names do not say which layers are the network.
_PICK = "Say which one with --key {first}; if all are one network, save it whole: dwn_hw.save(model, …)."


def in_order(positions: Sequence[str], arrays: Mapping[str, object], found: Findings, sorted_file: bool) -> list[str]:
    """The layers at ``positions`` of one network, by their numbers.

    ``arrays`` are all of the state_dict's, by name. Where names hold no number the order is the file's, which ``found``
    notes as assumed; of a ``sorted_file`` (safetensors), whose order says nothing, such names are refused. So are the layers of
    several networks.
    """
    if several := _networks(positions, arrays):
        names = ", ".join(shown(name or "(the top)", 60) for name in several[:8])
        remedy = _PICK.format(first=shown(next(name for name in several if name), 60))
        found.add("", "LUT layers must belong to one network", f"several in the state_dict: {names}", remedy)
        return list(positions)
    templates: dict[str, list[str]] = {}
    for position in positions:
        templates.setdefault(_NUMBER.sub("#", position), []).append(position)
    by_number = [place for places in templates.values() for place in sorted(places, key=_numbers)]
    if len(templates) > 1:
        told = ", ".join(shown(place, 40) for place in by_number[:8])
        if sorted_file or not _together(positions):
            rule = "names must number the layers, or nobody knows their order"
            found.add("", rule, f"layers named {told}", "Save the whole model with dwn_hw.save(model, …).")
        else:
            found.assume(f"layers follow one another as they stand in the file: {told}")
    return by_number


def _numbers(position: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(position)[:8] if len(number) < 9)


def _together(positions: Sequence[str]) -> bool:
    """Whether the layers that share a name but for its numbers stand next to each other."""
    runs = [_NUMBER.sub("#", position) for position in positions]
    changes = sum(one != other for one, other in itertools.pairwise(runs))
    return changes == len(set(runs)) - 1


def _networks(positions: Sequence[str], arrays: Mapping[str, object]) -> list[str]:
    """The roots of all networks if there are several: different roots, or copies of one network that are numbered."""
    roots = list(dict.fromkeys(_root(position) for position in positions))
    if len(roots) > 1:
        return roots
    copies: dict[str, list[tuple[str, object]]] = {}
    start = len(roots[0]) + 1 if roots and roots[0] else 0
    for position in positions:
        first, _, rest = position[start:].partition(".")
        copies.setdefault(position[:start] + first, []).append((rest, _shapes(position, arrays)))
    layers = [sorted(layers, key=lambda layer: layer[0]) for layers in copies.values()]
    alike = len(layers) > 1 and len(layers[0]) > 1 and all(layer == layers[0] for layer in layers)
    return list(copies) if alike else []


def _root(position: str) -> str:
    """The part of a name before the first component with a number; without one, before the last component."""
    parts = position.split(".")
    numbered = [index for index, part in enumerate(parts) if _NUMBER.search(part)]
    return ".".join(parts[: numbered[0] if numbered else -1])


def _shapes(position: str, arrays: Mapping[str, object]) -> tuple[tuple[int, ...] | None, ...]:
    prefix = f"{position}." if position else ""
    found = (array(arrays.get(prefix + name)) for name in ("luts", "mapping", "mapping.weights"))
    return tuple(None if values is None else values.shape for values in found)
