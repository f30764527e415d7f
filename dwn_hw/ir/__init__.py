"""The waist of the package: frozen networks over integers and bits only; :mod:`dwn_hw.ir.network` has the language.

This module re-exports what a network is made of. Beside it stand what a network means (:mod:`dwn_hw.ir.evaluate`), its fast
emulation (:mod:`dwn_hw.ir.emulate`), its file (:mod:`dwn_hw.ir.serialize`), and the passes that keep its meaning
(:mod:`dwn_hw.ir.passes`).
"""

from __future__ import annotations

from dwn_hw.ir.discrete_nodes import Codebook, CompareToMean, DiscreteNode, MultiThreshold, Sort
from dwn_hw.ir.edges import BIT, Edge, Format, Ints
from dwn_hw.ir.integer_nodes import Affine, IntegerNode, MaxPool2d, Quantize, Relu, Reshape
from dwn_hw.ir.lut_nodes import MAX_LUT_INPUTS, ArgMax, Group, GroupSum, LutLayer, LutNode, Rows, Thermometer
from dwn_hw.ir.network import NEAREST, Input, Network, Node, PlacedNode
from dwn_hw.ir.rules import MAX_CODE_BITS
from dwn_hw.ir.weighted_nodes import Conv2d, ConvTranspose2d, Dense, WeightedNode, is_shift, powers_of_2

__all__ = [
    "BIT",
    "MAX_CODE_BITS",
    "MAX_LUT_INPUTS",
    "NEAREST",
    "Affine",
    "ArgMax",
    "Codebook",
    "CompareToMean",
    "Conv2d",
    "ConvTranspose2d",
    "Dense",
    "DiscreteNode",
    "Edge",
    "Format",
    "Group",
    "GroupSum",
    "Input",
    "IntegerNode",
    "Ints",
    "LutLayer",
    "LutNode",
    "MaxPool2d",
    "MultiThreshold",
    "Network",
    "Node",
    "PlacedNode",
    "Quantize",
    "Relu",
    "Reshape",
    "Rows",
    "Sort",
    "Thermometer",
    "WeightedNode",
    "is_shift",
    "powers_of_2",
]
