"""Charts of what was counted and measured: costs, delays, calibration, classes, margins, clocks, floor plans, fronts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dwn_hw.exports.page.blocks import Figure, Spec
from dwn_hw.exports.page.drawing import COLORS, WIDTH

#: The most classes of a confusion matrix, and the most with which it shows its numbers.
SHOWN, READABLE = 64, 12

#: Where names of neighbouring points stand, so that they do not lie on each other.
_APART = (-9, -22, 15, 28)

#: The most points that are all named; of more, only those that no other one beats.
_MOST_NAMED = 6

Row = dict[str, Any]


def bars(name: str, caption: str, rows: Sequence[Row], unit: str) -> Figure:
    """``rows`` of ``part``, ``source`` and ``count`` as bars, those of a part under each other."""
    parts, sources = (list(dict.fromkeys(row[key] for row in rows)) for key in ("part", "source"))
    height = len(parts) * (len(sources) * 13 + 10)
    spec = {
        "height": height,
        "data": {"values": list(rows)},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "part", "type": "nominal", "sort": parts, "title": None},
            "yOffset": {"field": "source", "type": "nominal", "sort": sources},
            "x": {"field": "count", "type": "quantitative", "title": unit, "axis": {"tickCount": 5}},
            "color": {
                "field": "source",
                "type": "nominal",
                "sort": sources,
                **({} if len(sources) > 1 else {"legend": None}),
            },
        },
    }
    return Figure(name, caption, spec)


def sections(rows: Sequence[Row], unit: str, limit: float | None, caption: str) -> Figure:
    """``rows`` of ``section`` and ``length``, in order, with a line at ``limit``."""
    order = [row["section"] for row in rows]
    layers: list[Spec] = [
        {
            "mark": {"type": "bar"},
            "encoding": {
                "y": {"field": "section", "type": "nominal", "sort": order, "title": None},
                "x": {"field": "length", "type": "quantitative", "title": unit, "axis": {"tickCount": 5}},
            },
        }
    ]
    if limit is not None:
        dashed = {"type": "rule", "strokeDash": [4, 3], "color": COLORS[4], "strokeWidth": 2}
        layers.append({"mark": dashed, "encoding": {"x": {"datum": limit, "type": "quantitative"}}})
    return Figure(
        "pipeline", caption, {"height": 22 * len(order) + 10, "data": {"values": list(rows)}, "layer": layers}
    )


def calibration(rows: Sequence[Row], what: str, title: str, name: str) -> Figure:
    """``rows`` of ``bits``, ``value``, perhaps ``low`` and ``high``, and ``taken``: a curve, with what was taken marked."""
    x = {"field": "bits", "type": "quantitative", "title": "bits of the port", "axis": {"tickCount": 6}}
    y = {"type": "quantitative", "scale": {"zero": False}, "title": title}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "!datum.taken"}],
            "mark": {"type": "line", "point": {"size": 18}},
            "encoding": {"x": x, "y": {**y, "field": "value"}},
        },
        {
            "transform": [{"filter": "datum.taken"}],
            "mark": {"type": "point", "filled": True, "size": 80, "color": COLORS[1]},
            "encoding": {"x": x, "y": {**y, "field": "value"}},
        },
    ]
    if any("low" in row for row in rows):
        band: Spec = {"mark": {"type": "rule", "opacity": 0.4}, "encoding": {"x": x, "y": {**y, "field": "low"}}}
        band["encoding"]["y2"] = {"field": "high"}
        layers.insert(0, band)
    return Figure(name, what, {"height": 150, "data": {"values": list(rows)}, "layer": layers})


def confusion(counts: npt.NDArray[np.int64], names: Sequence[str]) -> Figure:
    """Samples of each class, a row, by what they were taken for; as dark as their share of the row."""
    totals = np.maximum(counts.sum(axis=1), 1)
    rows = [
        {"of": f"{i} {names[i]}", "as": f"{j} {names[j]}", "n": int(n), "share": float(n / totals[i])}
        for (i, j), n in np.ndenumerate(counts)
    ]
    order = [f"{i} {name}" for i, name in enumerate(names)]
    side = max(12, 240 // len(names))
    axis = {"labelLimit": 72, "ticks": False, "domain": False}
    level = {"labelAngle": 0} if max(map(len, order)) * len(order) <= 40 else {"labelAngle": -60}
    place = {"type": "nominal", "sort": order}
    encoding = {
        "y": {"field": "of", **place, "axis": axis, "title": "class of the sample"},
        "x": {"field": "as", **place, "axis": axis | level, "title": "taken for"},
    }
    shade = {
        "field": "share",
        "type": "quantitative",
        "legend": None,
        "scale": {"domain": [0, 1], "range": [0.03, 0.85]},
    }
    layers: list[Spec] = [
        {"mark": {"type": "rect", "color": COLORS[0]}, "encoding": {**encoding, "opacity": shade}},
    ]
    if len(names) <= READABLE:
        layers.append({"mark": {"type": "text"}, "encoding": {**encoding, "text": {"field": "n"}}})
    spec = {"height": min(side, 40) * len(names), "data": {"values": rows}, "layer": layers}
    return Figure("confusion", "Confusion matrix: each row is a class, counted by the answers it got", spec)


def margins(values: npt.NDArray[np.int64], right: npt.NDArray[np.bool_] | None) -> Figure:
    """How many samples have which margin; by whether the answer was right, where that is known."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    step = max(1, -(-(high - low + 1) // 32))
    known = right is not None
    kinds = [("right", right), ("wrong", ~right)] if right is not None else [("all", np.ones(len(values), bool))]
    rows = [
        {
            "from": at,
            "to": at + step,
            "answer": kind,
            "count": int(((values >= at) & (values < at + step) & which).sum()),
        }
        for kind, which in kinds
        for at in range(low, high + 1, step)
    ]
    spec = {
        "height": 130,
        "data": {"values": rows},
        "mark": {"type": "bar", "binSpacing": 1},
        "encoding": {
            "x": {"field": "from", "bin": "binned", "title": "first score less the second", "axis": {"tickCount": 6}},
            "x2": {"field": "to"},
            "y": {"field": "count", "type": "quantitative", "title": "samples", "axis": {"tickCount": 4}},
            "color": {
                "field": "answer",
                "type": "nominal",
                "sort": ["right", "wrong"],
                "scale": {"range": [COLORS[2], COLORS[4]] if known else [COLORS[0]]},
                **({} if known else {"legend": None}),
            },
            "order": {"field": "answer", "sort": "ascending"},
        },
    }
    return Figure("margins", "Margins: by how much the first choice is ahead of the second", spec)


def seeds(clocks: Mapping[str, float], wanted: float | None, board: str) -> Figure:
    """MHz of each seed of place and route, with a line at the board's clock."""
    rows = [{"section": f"seed {seed}", "length": mhz} for seed, mhz in clocks.items()]
    figure = sections(rows, "MHz", wanted, f"Clock of each seed of place and route for {board}; dashed: the board's")
    return Figure(f"seeds-{board}", figure.caption, figure.spec)


def floor_plan(cells: Sequence[Row], board: str) -> Figure:
    """``cells`` of ``x``, ``y`` (tiles), ``part`` and ``count``: each tile in the colour of the part with most cells there."""
    most: dict[tuple[int, int], Row] = {}
    for cell in cells:
        tile = (cell["x"], cell["y"])
        if tile not in most or cell["count"] > most[tile]["count"]:
            most[tile] = cell
    right, top = max(x for x, _ in most) + 1, max(y for _, y in most) + 1
    rows = [{**cell, "x2": cell["x"] + 1, "y2": cell["y"] + 1} for cell in most.values()]
    place = {"type": "quantitative", "axis": {"grid": False, "tickCount": 5}}
    spec = {
        "height": round(min(1.3 * WIDTH, max(80, (WIDTH - 40) * top / right))),
        "data": {"values": rows},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {"field": "x", **place, "title": "column", "scale": {"domain": [0, right]}},
            "y": {"field": "y", **place, "title": "row", "scale": {"domain": [0, top]}},
            "x2": {"field": "x2"},
            "y2": {"field": "y2"},
            "color": {"field": "part", "type": "nominal", "legend": {"columns": 3, "labelLimit": 90}},
        },
    }
    return Figure(f"floor-{board}", f"Floor plan on {board}: tiles by the part with most cells in them", spec)


def front(rows: Sequence[Row]) -> Figure:
    """``rows`` of ``name``, ``lut``, ``accuracy`` (percent), ``source``, ``front``, perhaps ``low`` and ``high``: accuracy
    against LUTs, with a line through the exports that no other one beats in both.
    """
    sources = list(dict.fromkeys(row["source"] for row in rows))
    named = sorted((row for row in rows if row["name"]), key=lambda row: row["lut"])
    if len(named) > _MOST_NAMED:  # or nobody could read them; the tables name all
        named = [row for row in named if row["front"]]
    rows = [{**row, "slot": named.index(row) % len(_APART) if row in named else -1} for row in rows]
    x = {
        "field": "lut",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 12},
        "title": "LUTs",
    }
    x["axis"] = {"tickCount": 5, "format": "~s", "grid": False}
    y = {"type": "quantitative", "scale": {"zero": False}, "title": "accuracy, %"}
    kind = {"field": "source", "type": "nominal", "sort": sources, "legend": {"columns": 1, "labelLimit": 320}}
    spec = {
        "height": 260,
        "data": {"values": list(rows)},
        "layer": [
            {
                "transform": [{"filter": "datum.front"}],
                "mark": {"type": "line", "interpolate": "step-after", "opacity": 0.6},
                "encoding": {"x": x, "y": {**y, "field": "accuracy"}, "detail": {"field": "source"}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "opacity": 0.5},
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60},
                "encoding": {"x": x, "y": {**y, "field": "accuracy"}, "color": kind, "shape": {**kind, "legend": None}},
            },
            *(
                {
                    "transform": [{"filter": f"datum.slot == {slot}"}],
                    "mark": {"type": "text", "dy": dy, "limit": 76, "fontSize": 10},
                    "encoding": {"x": x, "y": {**y, "field": "accuracy"}, "text": {"field": "name"}},
                }
                for slot, dy in enumerate(_APART)
            ),
        ],
    }
    return Figure("front", "Accuracy against LUTs; the line joins the exports that no other one beats in both", spec)
