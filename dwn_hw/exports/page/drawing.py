"""The door to Vega-Lite: a chart drawn as SVG that loads nothing, and takes the colour of the text around it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from dwn_hw.errors import OptionError, Problem
from dwn_hw.exports.page.blocks import Figure

#: The width of a chart, in pixels: what the narrowest phones show without shrinking it.
WIDTH = 344

#: The colours of series, told apart by people who see fewer, on white and on black.
COLORS = ("#4a90d9", "#e0912f", "#3fa37c", "#b06fc0", "#d9605a", "#8a8f98", "#8c9a2c", "#3aa6b9")

_VERSION = "5.21"
_SVG = "http://www.w3.org/2000/svg"

#: For readers of screens the caption says what a chart shows; what a mouse would point at is of no use in a picture.
_DROPPED = re.compile(r"aria-.*|role|class|pointer-events|version|stroke-miterlimit")

_INK = "currentColor"
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": "sans-serif",
    "padding": {"left": 2, "right": 10, "top": 4, "bottom": 2},
    "range": {"category": list(COLORS)},
    "view": {"stroke": None},
    "bar": {"color": COLORS[0]},
    "line": {"color": COLORS[0]},
    "point": {"color": COLORS[0]},
    "rule": {"color": _INK},
    "text": {"color": _INK, "fontSize": 11},
    "title": {"color": _INK, "fontSize": 12, "anchor": "start", "fontWeight": "normal", "limit": WIDTH},
    "legend": {
        "labelColor": _INK,
        "titleColor": _INK,
        "orient": "top",
        "title": None,
        "labelFontSize": 11,
        "columns": 2,
        "columnPadding": 24,
    },
    "axis": {
        **dict.fromkeys(("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"), _INK),
        "gridOpacity": 0.15,
        "domainOpacity": 0.5,
        "tickOpacity": 0.5,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelLimit": 130,
        "labelOverlap": "greedy",
        "labelSeparation": 8,
    },
}


def draw(figure: Figure, prefix: str = "") -> str:
    """A figure as the text of an SVG; what it calls by a name inside begins with ``prefix``, so that several stand in one page.

    Raises OptionError where the library is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        remedy = 'Install it: pip install "dwn-hw[report]"'
        raise OptionError(Problem("report", "vl-convert-python, which draws charts", "not installed", remedy)) from None
    spec = {"width": WIDTH, "autosize": {"type": "fit-x", "contains": "padding"}, **figure.spec, "config": _CONFIG}
    drawn = vl_convert.vegalite_to_svg(spec, _VERSION, allowed_base_urls=[])
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(drawn)
    for element in root.iter():
        for name in [name for name in element.attrib if _DROPPED.fullmatch(name)]:
            del element.attrib[name]
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, prefix + value)
            elif value.startswith("url(#"):
                element.set(name, f"url(#{prefix}{value[5:]}")
    root.set("role", "img")
    root.set("aria-label", figure.caption)
    return ElementTree.tostring(root, encoding="unicode")
