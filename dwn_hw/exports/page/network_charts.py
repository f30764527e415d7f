"""Pictures of a network and of its input: its nodes in a row with sizes, and thresholds over the numbers that they compare."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dwn_hw import ir
from dwn_hw.exports.page import sample_results
from dwn_hw.exports.page.blocks import Figure
from dwn_hw.exports.page.drawing import COLORS, WIDTH
from dwn_hw.exports.page.sample_results import Results

#: Features whose thresholds are shown one by one, and bars of a histogram.
SHOWN, BARS = 16, 32

_HIDDEN = {"axis": None, "scale": {"domain": [0, 1]}}

#: The width of the narrowest box, as a share of the picture.
NARROWEST = 0.72


def picture(network: ir.Network, behind: set[str]) -> Figure:
    """The nodes from the port down to the result, each as wide as the logarithm of its bits; a bar where registers follow,
    ``behind`` parts of these names.
    """
    steps = network.steps()
    port = network.input.edge
    edges = [("input port", f"{port.size:,} features in {port.bits:,} bits", port)]
    edges += [(step.name, f"{type(step.node).__name__}: {step.node}", step.after) for step in steps]
    widest = max(edge.bits for *_, edge in edges)
    rows: list[dict[str, Any]] = [
        {
            "y": float(i),
            "y2": i + 0.62,
            "half": 0.5 * (NARROWEST + (1 - NARROWEST) * math.log1p(edge.bits) / math.log1p(widest)),
            "name": name,
            "what": what,
            "flow": f"▼  {edge}",
            "register": name in behind,
        }
        for i, (name, what, edge) in enumerate(edges)
    ]
    for row in rows:
        row |= {"x": 0.5 - row["half"], "x2": 0.5 + row["half"]}
    return Figure("network", "The network: what each node does, and what flows between them", _boxes(rows))


def _boxes(rows: list[dict[str, Any]]) -> dict[str, Any]:
    y = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [0, len(rows)], "reverse": True}}
    across = {"x": {"field": "x", "type": "quantitative", **_HIDDEN}, "x2": {"field": "x2"}}

    def label(field: str, down: float, **mark: Any) -> dict[str, Any]:
        shift = {"calculate": f"datum.y + {down}", "as": "at"}
        text = {"type": "text", "limit": WIDTH - 16, **mark}
        return {
            "transform": [shift],
            "mark": text,
            "encoding": {"y": {**y, "field": "at"}, "x": {"datum": 0.5, **_HIDDEN}, "text": {"field": field}},
        }

    box = {"type": "rect", "color": COLORS[0], "fillOpacity": 0.22, "stroke": COLORS[0], "cornerRadius": 4}
    register = {
        "transform": [{"filter": "datum.register"}],
        "mark": {"type": "rule", "strokeWidth": 4, "color": COLORS[1]},
        "encoding": {**across, "y": {**y, "field": "y2"}},
    }
    return {
        "height": 62 * len(rows),
        "data": {"values": rows},
        "layer": [
            {"mark": box, "encoding": {**across, "y": y, "y2": {"field": "y2"}}},
            register,
            label("name", 0.2, fontWeight="bold", fontSize=12),
            label("what", 0.44, limit=round(WIDTH * NARROWEST) - 12),
            label("flow", 0.82, fontSize=10, opacity=0.8),
        ],
    }


def thresholds(network: ir.Network, results: Results | None) -> list[Figure]:
    """For each of the features with the most thresholds: where they lie, over a histogram of samples where there are some."""
    encoder = network.encoder
    if encoder is None:
        return []
    order = sorted(range(len(encoder.thresholds)), key=lambda f: (-len(set(encoder.thresholds[f])), f))
    chosen = sorted(f for f in order[:SHOWN] if encoder.thresholds[f])
    return [_of_feature(network, encoder.thresholds[feature], feature, results) for feature in chosen]


def feature_name(network: ir.Network, feature: int) -> str:
    """The name of a feature, or its number."""
    return network.feature_names[feature] if network.feature_names else f"f{feature}"


def _of_feature(network: ir.Network, row: tuple[int, ...], feature: int, results: Results | None) -> Figure:
    step, offset = sample_results.real(network, feature)
    name, fmt = feature_name(network, feature), network.input.edge.flat_formats()[feature]
    marks = [{"at": (t - 0.5) * step + offset} for t in sorted(set(row))]
    low, high = (min(row) * step + offset, max(row) * step + offset) if results is None else (math.inf, -math.inf)
    bars: list[dict[str, float]] = []
    if results is not None:
        values = results.codes[:, feature] * step + offset
        low, high = (float(f(np.append(values, [m["at"] for m in marks]))) for f in (np.min, np.max))
        counts, edges = np.histogram(values, BARS, (low, high if high > low else low + step))
        bars = [
            {"from": float(a), "to": float(b), "count": int(n)}
            for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
        ]
    over = "samples" if results else "the range of the thresholds"
    axis = {"tickCount": 3, "grid": False, "title": None, "labelFontSize": 10}
    x = {"type": "quantitative", "axis": axis, "scale": {"domain": [low, max(high, low + step)], "nice": False}}
    rule = {"type": "rule", "color": COLORS[1], "strokeWidth": 1.5, "clip": True}
    histogram = {
        "data": {"values": bars},
        "mark": {"type": "bar", "opacity": 0.7, "binSpacing": 0},
        "encoding": {
            "x": {**x, "field": "from", "bin": "binned"},
            "x2": {"field": "to"},
            "y": {"field": "count", "type": "quantitative", "axis": None},
        },
    }
    lines = {"data": {"values": marks}, "mark": rule, "encoding": {"x": {**x, "field": "at"}}}
    spec = {
        "width": WIDTH // 2 - 6,
        "height": 56,
        "title": {"text": f"{name}, {fmt}", "limit": WIDTH // 2 - 10, "fontSize": 11},
        "layer": [*([histogram] if bars else []), lines],
    }
    return Figure(f"thresholds-{feature:03}", f"Thresholds of {name} over {over}", spec)


def counts_by_feature(network: ir.Network) -> Figure | None:
    """How many thresholds each feature has, as an image where the features can be one."""
    encoder = network.encoder
    if encoder is None or len(encoder.thresholds) <= SHOWN:
        return None
    counts = [len(set(row)) for row in encoder.thresholds]
    side, top = math.isqrt(len(counts)), max(counts)
    if side * side == len(counts):
        rows = [{"x": i % side, "y": i // side, "thresholds": n} for i, n in enumerate(counts)]
        place = {"type": "ordinal", "axis": None}
        spec = {
            "width": WIDTH - 60,
            "height": WIDTH - 60,
            "data": {"values": rows},
            "mark": {"type": "rect", "color": COLORS[0]},
            "encoding": {
                "x": {"field": "x", **place},
                "y": {"field": "y", **place},
                "opacity": {
                    "field": "thresholds",
                    "type": "quantitative",
                    "legend": {
                        "title": "thresholds",
                        "values": list(range(0, top + 1, -(-(top + 1) // 6))),
                        "columns": 6,
                    },
                },
            },
        }
        return Figure("thresholds-by-feature", f"Thresholds of each feature, laid out as {side} × {side}", spec)
    spec = {
        "height": 120,
        "data": {"values": [{"feature": i, "thresholds": n} for i, n in enumerate(counts)]},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {"field": "feature", "type": "quantitative"},
            "y": {"field": "thresholds", "type": "quantitative"},
        },
    }
    return Figure("thresholds-by-feature", "Thresholds of each feature", spec)
