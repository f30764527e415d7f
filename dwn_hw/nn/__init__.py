"""The training layers of a DWN, in plain torch: the names, arguments and state_dict keys of ``torch_dwn``; and DeepShift's.

::

    model = nn.Sequential(
        DistributiveThermometer(3).fit(x), nn.Flatten(),     # (samples, features) → (samples, features·3) bits
        LUTLayer(features * 3, 300, n=6, mapping="learnable"),
        LUTLayer(300, 100, n=6),
        GroupSum(k=10, tau=10 / 3),                          # (samples, 10) scores
    )

The layers of networks that shift and add (:mod:`dwn_hw.nn.shift_layers`) are beside them, with the names of DeepShift,
and what turns an existing model into one; and activations of few values, trained straight through
(:mod:`dwn_hw.nn.discretizers`), or by a network beside them (:mod:`dwn_hw.nn.dab`).

Conventions: a bit is the number 0.0 or 1.0, and any ``x > 0`` counts as one; slot 0 of a LUT is the least
significant bit of its address. Everything runs wherever torch runs, CPU or GPU; on a CPU some gradients by compiled kernels.
"""

from __future__ import annotations

from dwn_hw.nn import dab, shift_ste

# binarization
from dwn_hw.nn.binarization import DistributiveThermometer, GaussianThermometer, Thermometer

# convert
from dwn_hw.nn.convert import convert_to_shift, count_layer_type, round_shift_weights

# discretizers
from dwn_hw.nn.discretizers import BinaryDiscretizer, MultiDiscretizer, StraightThroughWrapper

# group_sum
from dwn_hw.nn.group_sum import GroupSum

# lut_layer
from dwn_hw.nn.lut_layer import EFDFunction, LUTLayer

# mapping
from dwn_hw.nn.mapping import CandidateMapping, LearnableMapping, LearnableMappingFunction, layer_mapping

# shift
from dwn_hw.nn.shift_conv2d import Conv2dShift, Conv2dShiftQ
from dwn_hw.nn.shift_layers import LinearShift, LinearShiftQ

# ste
from dwn_hw.nn.ste import STE, STEFunction, StraightThroughEstimator

__all__ = [
    "STE",
    "BinaryDiscretizer",
    "CandidateMapping",
    "Conv2dShift",
    "Conv2dShiftQ",
    "DistributiveThermometer",
    "EFDFunction",
    "GaussianThermometer",
    "GroupSum",
    "LUTLayer",
    "LearnableMapping",
    "LearnableMappingFunction",
    "LinearShift",
    "LinearShiftQ",
    "MultiDiscretizer",
    "STEFunction",
    "StraightThroughEstimator",
    "StraightThroughWrapper",
    "Thermometer",
    "convert_to_shift",
    "count_layer_type",
    "dab",
    "layer_mapping",
    "round_shift_weights",
    "shift_ste",
]
